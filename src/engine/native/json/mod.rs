//! JSON documents of providers, kept byte for byte where untouched.
