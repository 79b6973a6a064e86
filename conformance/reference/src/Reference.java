import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import ca.uhn.fhir.validation.SingleValidationMessage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;

/** Judges the JSON files of a folder: for each error a line `file TAB location TAB message`, for each file one with `=`. */
public final class Reference {
    public static void main(String[] arguments) throws Exception {
        FhirContext context = FhirContext.forR4();
        ValidationSupportChain support = new ValidationSupportChain(
            new DefaultProfileValidationSupport(context),
            new InMemoryTerminologyServerValidationSupport(context),
            new CommonCodeSystemsTerminologyService(context));
        FhirInstanceValidator instance = new FhirInstanceValidator(support);
        instance.setAnyExtensionsAllowed(true);
        instance.setNoTerminologyChecks(false);
        FhirValidator validator = context.newValidator().registerValidatorModule(instance);
        try (var listed = Files.list(Path.of(arguments[0]))) {
            List<Path> files = listed.filter(file -> file.toString().endsWith(".json")).sorted().toList();
            for (Path file : files) {
                String name = file.getFileName().toString();
                long started = System.nanoTime();
                try {
                    for (SingleValidationMessage one : validator.validateWithResult(Files.readString(file)).getMessages()) {
                        ResultSeverityEnum severity = one.getSeverity();
                        if (severity == ResultSeverityEnum.ERROR || severity == ResultSeverityEnum.FATAL) {
                            String text = one.getMessage().replaceAll("\\s+", " ");
                            System.out.println(name + "\t" + one.getLocationString() + "\t" + text);
                        }
                    }
                } catch (Exception broken) {
                    System.out.println(name + "\t-\tnot judged: " + broken.getClass().getSimpleName());
                }
                System.out.println(name + "\t=\t" + (System.nanoTime() - started) / 1000);
            }
        }
    }
}
