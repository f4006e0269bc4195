// `berth run`: create, attach, wait, start, in the order that loses nothing: the wait and the
// attach are in place before the process can end.
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/create_request.h"
#include "cli/docker_config.h"
#include "cli/engine_client.h"
#include "cli/progress.h"
#include "cli/session.h"

namespace berth::cli {
namespace {

using nlohmann::json;

std::string create(EngineClient& client, const Flags& flags, const json& request) {
    std::string path = "/containers/create";
    std::string separator = "?";
    for (const char* key : {"name", "platform"}) {
        if (!flags.has(key)) continue;
        path += separator + key + "=" + http::encode_percent(flags.get(key));
        separator = "&";
    }
    const json answer = client.post(path, request);
    for (const std::string& warning : JsonReader(answer).strings("Warnings"))
        write_all(BorrowedFd{STDERR_FILENO}, "WARNING: " + warning + "\n");
    return JsonReader(answer).string("Id");
}

std::string create_with_pull(EngineClient& client, const Flags& flags, const json& request) {
    const std::string policy = flags.get("pull", "missing");
    const std::string& image = flags.positionals().front();
    if (policy == "always")
        pull_image(client.host(), {.reference = image, .platform = flags.get("platform")});
    try {
        return create(client, flags, request);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found || policy == "never" ||
            !error.message().starts_with("No such image"))
            throw;
    }
    write_all(BorrowedFd{STDERR_FILENO}, "Unable to find image '" + image + "' locally\n");
    pull_image(client.host(), {.reference = image, .platform = flags.get("platform")});
    return create(client, flags, request);
}

json request_of(const Flags& flags, const std::string& host) {
    json request = create_request(flags);
    for (const std::string& entry : DockerConfig().proxy_environment(host)) {
        const std::string name = entry.substr(0, entry.find('=') + 1);
        const bool is_set = std::ranges::any_of(request["Env"], [&](const json& other) {
            return other.get_ref<const std::string&>().starts_with(name);
        });
        if (!is_set) request["Env"].push_back(entry);
    }
    return request;
}

SessionHooks hooks_for(EngineClient& control, const std::string& id) {
    return {
        .resize =
            [&control, id](unsigned height, unsigned width) {
                try {
                    control.post(fmt::format("/containers/{}/resize?h={}&w={}", id, height, width),
                                 nullptr);
                } catch (const Error&) {
                    // The process may have ended in between.
                }
            },
        .signal =
            [&control, id](int number) {
                try {
                    control.post(fmt::format("/containers/{}/kill?signal={}", id, number), nullptr);
                } catch (const Error&) {
                }
            }};
}

// 126 and 127 as docker counts them from the text of the engine.
int exit_code_of(const Error& error) {
    const std::string& text = error.message();
    for (const char* absent : {"executable file not found", "no such file or directory"})
        if (text.find(absent) != std::string::npos) return 127;
    for (const char* refused : {"permission denied", "is a directory"})
        if (text.find(refused) != std::string::npos) return 126;
    return 125;
}

int run_attached(const Invocation& invocation, const Flags& flags, const std::string& id) {
    EngineClient stream(invocation.host), control(invocation.host), waiter(invocation.host);
    const bool interactive = flags.on("interactive");
    http::Upgraded connection =
        stream.hijack(fmt::format("/containers/{}/attach?stream=1&stdout=1&stderr=1{}", id,
                                  interactive ? "&stdin=1" : ""),
                      nullptr);
    http::ClientResponse wait = waiter.send({"POST",
                                             fmt::format("/containers/{}/wait?condition={}", id,
                                                         flags.on("rm") ? "removed" : "next-exit"),
                                             {},
                                             {},
                                             {}});
    control.post("/containers/" + id + "/start", nullptr);
    run_session(std::move(connection), flags.on("tty") ? Framing::raw : Framing::multiplexed,
                interactive ? Input::forwarded : Input::none, hooks_for(control, id));
    if (flags.on("tty")) {
        // The stream of a terminal also ends when the user detached.
        try {
            const json state = control.get("/containers/" + id + "/json");
            if (JsonReader(state).object("State").boolean("Running", false)) return 0;
        } catch (const Error&) {
            // Removed already: it has ended.
        }
    }
    const json outcome = parse_json(wait.read_all());
    return static_cast<int>(JsonReader(outcome).integer("StatusCode"));
}

}  // namespace

int run_command(const Invocation& invocation) {
    const Flags flags =
        Flags::parse(invocation.arguments, container_flags(), Positionals::end_of_flags);
    flags.require(1, "run [FLAGS] IMAGE [COMMAND] [ARG...]");
    EngineClient client(invocation.host);
    try {
        const std::string id = create_with_pull(client, flags, request_of(flags, invocation.host));
        if (!flags.on("detach")) return run_attached(invocation, flags, id);
        client.post("/containers/" + id + "/start", nullptr);
        write_all(BorrowedFd{STDOUT_FILENO}, id + "\n");
        return 0;
    } catch (const Error& error) {
        write_all(BorrowedFd{STDERR_FILENO}, "berth: " + error.message() + "\n");
        return exit_code_of(error);
    }
}

}  // namespace berth::cli
