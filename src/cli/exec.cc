// `berth exec`: a further process in a running container.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/engine_client.h"
#include "cli/flags.h"
#include "cli/session.h"

namespace berth::cli {
namespace {

using nlohmann::json;

constexpr std::array kFlags{Flag{"detach", 'd', FlagKind::toggle},
                            Flag{"env", 'e'},
                            Flag{"interactive", 'i', FlagKind::toggle},
                            Flag{"privileged", 0, FlagKind::toggle},
                            Flag{"tty", 't', FlagKind::toggle},
                            Flag{"user", 'u'},
                            Flag{"workdir", 'w'}};

json exec_request(const Flags& flags) {
    const auto& positionals = flags.positionals();
    const bool attached = !flags.on("detach");
    return {{"Cmd", std::vector(positionals.begin() + 1, positionals.end())},
            {"AttachStdin", attached && flags.on("interactive")},
            {"AttachStdout", attached},
            {"AttachStderr", attached},
            {"Tty", flags.on("tty")},
            {"Env", flags.all("env")},
            {"User", flags.get("user")},
            {"WorkingDir", flags.get("workdir")},
            {"Privileged", flags.on("privileged")}};
}

}  // namespace

int exec_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::end_of_flags);
    flags.require(2, "exec [FLAGS] CONTAINER COMMAND [ARG...]");
    EngineClient control(invocation.host);
    const std::string container = http::encode_percent(flags.positionals().front());
    const json created = control.post("/containers/" + container + "/exec", exec_request(flags));
    const std::string path = "/exec/" + JsonReader(created).string("Id");
    if (flags.on("detach")) {
        control.post(path + "/start", json{{"Detach", true}});
        return 0;
    }
    EngineClient stream(invocation.host);
    http::Upgraded connection = stream.hijack(path + "/start", json{{"Tty", flags.on("tty")}});
    const SessionHooks hooks{
        .resize =
            [&](unsigned height, unsigned width) {
                try {
                    control.post(fmt::format("{}/resize?h={}&w={}", path, height, width), nullptr);
                } catch (const Error&) {
                    // The process may have ended in between.
                }
            },
        .signal = {}};
    run_session(std::move(connection), flags.on("tty") ? Framing::raw : Framing::multiplexed,
                flags.on("interactive") ? Input::forwarded : Input::none, hooks);
    const json state = control.get(path + "/json");
    return static_cast<int>(JsonReader(state).integer("ExitCode"));
}

}  // namespace berth::cli
