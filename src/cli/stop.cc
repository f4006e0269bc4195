// `berth stop`: the stop signal, then SIGKILL after the time-out.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "cli/engine_client.h"
#include "cli/flags.h"
#include "cli/lifecycle.h"

namespace berth::cli {
namespace {

constexpr std::array kFlags{Flag{"signal", 's'}, Flag{"time", 't'}};

}  // namespace

int stop_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    flags.require(1, "stop [FLAGS] CONTAINER [CONTAINER...]");
    EngineClient client(invocation.host);
    std::string query = "?";
    if (flags.has("time")) query += "t=" + http::encode_percent(flags.get("time")) + "&";
    if (flags.has("signal")) query += "signal=" + http::encode_percent(flags.get("signal"));
    return for_each_container(flags.positionals(), [&](const std::string& name) {
        client.post("/containers/" + http::encode_percent(name) + "/stop" + query, nullptr);
    });
}

}  // namespace berth::cli
