// java.net.http.HttpClient, with nothing but what JAVA_TOOL_OPTIONS says: a read over HTTP/2, a refused act.

import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;

public class Client {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newBuilder().proxy(ProxySelector.getDefault())
            .connectTimeout(Duration.ofSeconds(20)).build();
        var read = client.send(ask("/user").GET().build(), BodyHandlers.ofString());
        var refused = client.send(ask("/repos/alice/demo").DELETE().build(), BodyHandlers.ofString());
        System.out.printf(
            "{\"status\": %d, \"version\": \"%s\", \"alice\": %b, \"refused\": {\"status\": %d, \"refusal\": \"%s\"}}%n",
            read.statusCode(), read.version(), read.body().contains("alice"),
            refused.statusCode(), refused.headers().firstValue("remit-refusal").orElse(""));
    }

    private static HttpRequest.Builder ask(String path) {
        return HttpRequest.newBuilder(URI.create("https://api.github.com" + path))
            .header("Authorization", "Bearer ghp_real_alice").timeout(Duration.ofSeconds(20));
    }
}
