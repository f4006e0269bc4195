// `berth rm`: removes containers.
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/engine_client.h"
#include "cli/flags.h"
#include "cli/lifecycle.h"

namespace berth::cli {
namespace {

constexpr std::array kFlags{Flag{"force", 'f', FlagKind::toggle},
                            Flag{"volumes", 'v', FlagKind::toggle}};

}  // namespace

int rm_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    flags.require(1, "rm [FLAGS] CONTAINER [CONTAINER...]");
    EngineClient client(invocation.host);
    const std::string query = std::string("?force=") + (flags.on("force") ? "1" : "0") +
                              "&v=" + (flags.on("volumes") ? "1" : "0");
    return for_each_container(flags.positionals(), [&](const std::string& name) {
        client.remove("/containers/" + http::encode_percent(name) + query);
    });
}

}  // namespace berth::cli
