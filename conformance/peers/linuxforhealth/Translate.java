// What the LinuxForHealth converter makes of HL7 v2 messages, and the processor time of it: a line of JSON for each.
import io.github.linuxforhealth.hl7.HL7ToFHIRConverter;
import java.nio.file.Files;
import java.nio.file.Path;

class Translate {
    public static void main(String[] paths) throws Exception {
        var converter = new HL7ToFHIRConverter();
        var clock = java.lang.management.ManagementFactory.getThreadMXBean();
        for (var name : paths) {
            if (!name.endsWith(".hl7")) continue;
            var path = Path.of(name);
            var file = path.getFileName().toString();
            var text = Files.readString(path).replace("\uFEFF", "").replaceAll("\r?\n", "\r");
            try {
                long best = Long.MAX_VALUE;
                String bundle = "";
                long until = System.nanoTime() + 3_000_000_000L;
                for (int run = 0; run < 10 || (run < 200 && System.nanoTime() < until); run++) {
                    long before = clock.getCurrentThreadCpuTime();
                    bundle = converter.convert(text);
                    best = Math.min(best, clock.getCurrentThreadCpuTime() - before);
                }
                System.out.println("{\"peer\":\"LinuxForHealth\",\"path\":\"" + name + "\",\"file\":\"" + file + "\",\"micros\":"
                        + best / 1000 + ",\"bundle\":" + bundle.replace('\n', ' ').replace('\r', ' ') + "}");
            } catch (Exception refused) {
                System.out.println("{\"peer\":\"LinuxForHealth\",\"file\":\"" + file + "\",\"refused\":\"" + refused.getClass().getSimpleName() + "\"}");
            }
        }
    }
}
