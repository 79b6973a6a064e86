//! The grammar of FHIRPath 2.0 (<http://hl7.org/fhirpath/N1/#formal-specifications>): text to a flat tree with spans.

mod token;

use super::decimal::Decimal;
use super::function::Function;
use super::temporal::Calendar;
use super::value::{Quantity, QuantityUnit, Value};
use token::{Lexer, SYMBOLS, Token, error};

/// Longest expression, deepest nesting.
const LONGEST: usize = 64 * 1024;
const DEEPEST: usize = 100;

/// The place of an expression in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(pub(super) usize);

/// Where in the text an expression stands: byte offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub start: usize,
    /// The byte after it.
    pub end: usize,
}

/// One step of a plan.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Empty,
    Literal(Value<'static>),
    This,
    Index,
    Total,
    Variable(String),
    /// A name: of `None`, of the focus.
    Child {
        of: Option<Id>,
        name: String,
    },
    Call {
        of: Option<Id>,
        function: Function,
        arguments: Vec<Id>,
        type_name: Option<TypeName>,
    },
    At {
        of: Id,
        index: Id,
    },
    Binary {
        operator: Operator,
        left: Id,
        right: Id,
    },
    Is {
        of: Id,
        type_name: TypeName,
    },
    As {
        of: Id,
        type_name: TypeName,
    },
    Sign {
        of: Id,
        negative: bool,
    },
}

/// A type as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TypeName {
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Implies,
    Or,
    Xor,
    And,
    In,
    Contains,
    Equal,
    NotEqual,
    Equivalent,
    NotEquivalent,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Union,
    Plus,
    Minus,
    Concatenate,
    Times,
    Divide,
    Div,
    Mod,
}

/// A text that is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {}: {fault}", span.start + 1)]
pub struct SyntaxError {
    /// What is wrong.
    pub fault: SyntaxFault,
    /// Where.
    pub span: Span,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxFault {
    /// Something else was expected.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A function that does not exist.
    #[error("there is no function {0}()")]
    UnknownFunction(String),
    /// The wrong number of arguments.
    #[error("{0}() takes another number of arguments")]
    Arguments(String),
    /// A literal that is not in the form of its type.
    #[error("a literal that is not in the form of its type")]
    Literal,
    /// A character that no token begins with.
    #[error("a character that no token begins with")]
    Character,
    /// Text that does not end.
    #[error("a string, name or comment that does not end")]
    Unclosed,
    /// Nested too deeply, or longer than allowed.
    #[error("longer or deeper than allowed")]
    TooLarge,
    /// A type that does not exist.
    #[error("there is no type {0}")]
    UnknownType(String),
    /// An element that the type does not have.
    #[error("there is no element {0} here")]
    UnknownElement(String),
    /// Values of another type are needed.
    #[error("{0} cannot be applied to these values")]
    WrongType(String),
    /// A pattern that is no regular expression, or one too large.
    #[error("not a regular expression, or one too large")]
    Pattern,
}

pub(super) struct Parser<'t> {
    lexer: Lexer<'t>,
    token: Token,
    span: Span,
    pub(super) ops: Vec<Op>,
    pub(super) spans: Vec<Span>,
    depth: usize,
}

impl<'t> Parser<'t> {
    pub(super) fn parse(text: &'t str) -> Result<(Vec<Op>, Vec<Span>, Id), SyntaxError> {
        if text.len() > LONGEST {
            return error(SyntaxFault::TooLarge, 0, text.len());
        }
        let mut lexer = Lexer::new(text);
        let (token, span) = lexer.next()?;
        let mut parser = Self { lexer, token, span, ops: Vec::new(), spans: Vec::new(), depth: 0 };
        let root = parser.expression(0)?;
        if parser.token != Token::End {
            return parser.fail(SyntaxFault::Expected("the end of the expression"));
        }
        Ok((parser.ops, parser.spans, root))
    }

    fn fail<T>(&self, fault: SyntaxFault) -> Result<T, SyntaxError> {
        Err(SyntaxError { fault, span: self.span })
    }

    fn advance(&mut self) -> Result<Token, SyntaxError> {
        let (token, span) = self.lexer.next()?;
        self.span = span;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn push(&mut self, op: Op, start: usize) -> Id {
        self.ops.push(op);
        self.spans.push(Span { start, end: self.span.start });
        Id(self.ops.len() - 1)
    }

    fn is(&self, symbol: &str) -> bool {
        self.token == Token::Symbol(SYMBOLS.iter().find(|one| **one == symbol).copied().unwrap_or(""))
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), SyntaxError> {
        if !self.is(symbol) {
            return self.fail(SyntaxFault::Expected(symbol));
        }
        self.advance().map(|_| ())
    }

    /// The operator at the current token and how tightly it binds.
    fn operator(&self) -> Option<(Operator, u8)> {
        Some(match &self.token {
            Token::Name(word) => match word.as_str() {
                "implies" => (Operator::Implies, 1),
                "or" => (Operator::Or, 2),
                "xor" => (Operator::Xor, 2),
                "and" => (Operator::And, 3),
                "in" => (Operator::In, 4),
                "contains" => (Operator::Contains, 4),
                "div" => (Operator::Div, 10),
                "mod" => (Operator::Mod, 10),
                _ => return None,
            },
            Token::Symbol(symbol) => match *symbol {
                "=" => (Operator::Equal, 5),
                "!=" => (Operator::NotEqual, 5),
                "~" => (Operator::Equivalent, 5),
                "!~" => (Operator::NotEquivalent, 5),
                "<" => (Operator::Less, 6),
                "<=" => (Operator::LessOrEqual, 6),
                ">" => (Operator::Greater, 6),
                ">=" => (Operator::GreaterOrEqual, 6),
                "|" => (Operator::Union, 7),
                "+" => (Operator::Plus, 9),
                "-" => (Operator::Minus, 9),
                "&" => (Operator::Concatenate, 9),
                "*" => (Operator::Times, 10),
                "/" => (Operator::Divide, 10),
                _ => return None,
            },
            _ => return None,
        })
    }

    fn expression(&mut self, least: u8) -> Result<Id, SyntaxError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.fail(SyntaxFault::TooLarge);
        }
        let start = self.span.start;
        let mut left = self.unary()?;
        loop {
            if let Token::Name(word) = &self.token
                && matches!(word.as_str(), "is" | "as")
                && least <= 8
            {
                let is_test = word == "is";
                self.advance()?;
                let type_name = self.type_name()?;
                let op = if is_test { Op::Is { of: left, type_name } } else { Op::As { of: left, type_name } };
                left = self.push(op, start);
                continue;
            }
            let Some((operator, power)) = self.operator() else { break };
            if power < least {
                break;
            }
            self.advance()?;
            let right = self.expression(power + 1)?;
            left = self.push(Op::Binary { operator, left, right }, start);
        }
        self.depth -= 1;
        Ok(left)
    }

    fn unary(&mut self) -> Result<Id, SyntaxError> {
        let start = self.span.start;
        let negative = self.is("-");
        if negative || self.is("+") {
            self.depth += 1;
            if self.depth > DEEPEST {
                return self.fail(SyntaxFault::TooLarge);
            }
            self.advance()?;
            let of = self.unary()?;
            self.depth -= 1;
            return Ok(self.push(Op::Sign { of, negative }, start));
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Result<Id, SyntaxError> {
        let start = self.span.start;
        let mut of = self.term()?;
        loop {
            if self.is(".") {
                self.advance()?;
                of = self.invocation(Some(of), start)?;
            } else if self.is("[") {
                self.advance()?;
                let index = self.expression(0)?;
                self.expect("]")?;
                of = self.push(Op::At { of, index }, start);
            } else {
                return Ok(of);
            }
        }
    }

    fn term(&mut self) -> Result<Id, SyntaxError> {
        let start = self.span.start;
        match self.token.clone() {
            Token::Symbol("(") => {
                self.advance()?;
                let inner = self.expression(0)?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Symbol("{") => {
                self.advance()?;
                self.expect("}")?;
                Ok(self.push(Op::Empty, start))
            }
            Token::String(text) => {
                self.advance()?;
                Ok(self.push(Op::Literal(Value::text(text)), start))
            }
            Token::Temporal(value) => {
                self.advance()?;
                Ok(self.push(Op::Literal(Value::Temporal(value)), start))
            }
            Token::Number(text) => {
                self.advance()?;
                self.number(&text, start)
            }
            Token::Variable(name) => {
                self.advance()?;
                Ok(self.push(Op::Variable(name), start))
            }
            Token::Name(word) if word == "true" || word == "false" => {
                self.advance()?;
                Ok(self.push(Op::Literal(Value::Boolean(word == "true")), start))
            }
            _ => self.invocation(None, start),
        }
    }

    fn number(&mut self, text: &str, start: usize) -> Result<Id, SyntaxError> {
        let unit = match &self.token {
            Token::String(code) => Some(match Calendar::named(code) {
                Some(word) => QuantityUnit::Calendar(word, code.clone()),
                None => QuantityUnit::Ucum(code.clone()),
            }),
            Token::Name(word) => Calendar::named(word).map(|unit| QuantityUnit::Calendar(unit, word.clone())),
            _ => None,
        };
        let decimal = Decimal::parse(text);
        if let Some(unit) = unit {
            self.advance()?;
            let Some(value) = decimal else { return self.fail(SyntaxFault::Literal) };
            return Ok(self.push(Op::Literal(Value::Quantity(Quantity { value, unit })), start));
        }
        let value = if text.contains('.') { decimal.map(Value::Decimal) } else { whole(text).map(Value::Integer) };
        let Some(value) = value else { return self.fail(SyntaxFault::Literal) };
        Ok(self.push(Op::Literal(value), start))
    }

    fn invocation(&mut self, of: Option<Id>, start: usize) -> Result<Id, SyntaxError> {
        let span = self.span;
        let name = match self.advance()? {
            Token::Name(name) | Token::Quoted(name) => name,
            Token::Special("this") => return Ok(self.push(Op::This, start)),
            Token::Special("index") => return Ok(self.push(Op::Index, start)),
            Token::Special(_) => return Ok(self.push(Op::Total, start)),
            _ => return Err(SyntaxError { fault: SyntaxFault::Expected("a name, literal or \"(\""), span }),
        };
        if !self.is("(") {
            return Ok(self.push(Op::Child { of, name }, start));
        }
        self.advance()?;
        let Some((function, least, most)) = Function::named(&name) else {
            return Err(SyntaxError { fault: SyntaxFault::UnknownFunction(name), span });
        };
        if matches!(function, Function::Is | Function::As | Function::OfType) {
            let type_name = self.type_name()?;
            self.expect(")")?;
            let op = Op::Call { of, function, arguments: Vec::new(), type_name: Some(type_name) };
            return Ok(self.push(op, start));
        }
        let mut arguments = Vec::new();
        while !self.is(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.expression(0)?);
        }
        self.advance()?;
        if !(least..=most).contains(&arguments.len()) {
            return Err(SyntaxError { fault: SyntaxFault::Arguments(name), span });
        }
        Ok(self.push(Op::Call { of, function, arguments, type_name: None }, start))
    }

    fn type_name(&mut self) -> Result<TypeName, SyntaxError> {
        let mut parts = Vec::new();
        loop {
            match self.advance()? {
                Token::Name(name) | Token::Quoted(name) => parts.push(name),
                _ => return self.fail(SyntaxFault::Expected("the name of a type")),
            }
            if !self.is(".") {
                break;
            }
            self.advance()?;
        }
        let name = parts.pop().unwrap_or_default();
        Ok(TypeName { namespace: parts.pop(), name })
    }
}

/// The value of an integer as written; its sign, if any, stands before it.
fn whole(text: &str) -> Option<i64> {
    text.parse().ok().filter(|value: &i64| *value <= i64::from(i32::MAX) + 1)
}
