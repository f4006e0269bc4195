// `berth logs`: what a container wrote.
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/frames.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/engine_client.h"
#include "cli/flags.h"
#include "cli/session.h"

namespace berth::cli {
namespace {

constexpr std::array kFlags{Flag{"details", 0, FlagKind::toggle},
                            Flag{"follow", 'f', FlagKind::toggle},
                            Flag{"since"},
                            Flag{"tail", 'n'},
                            Flag{"timestamps", 't', FlagKind::toggle},
                            Flag{"until"}};

}  // namespace

int logs_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    flags.require(1, "logs [FLAGS] CONTAINER");
    EngineClient client(invocation.host);
    const std::string container = http::encode_percent(flags.positionals().front());
    const nlohmann::json inspected = client.get("/containers/" + container + "/json");
    const bool terminal = JsonReader(inspected).object("Config").boolean("Tty", false);
    std::string path = fmt::format("/containers/{}/logs?stdout=1&stderr=1", container);
    for (const char* key : {"follow", "timestamps", "details"})
        if (flags.on(key)) path += std::string("&") + key + "=1";
    for (const char* key : {"since", "until", "tail"})
        if (flags.has(key))
            path += std::string("&") + key + "=" + http::encode_percent(flags.get(key));
    http::ClientResponse response = client.send({"GET", path, {}, {}, {}});
    FrameSplitter splitter([](int stream, std::string_view bytes) {
        write_all(BorrowedFd{stream == 2 ? STDERR_FILENO : STDOUT_FILENO}, bytes);
    });
    std::string buffer(64U << 10, '\0');
    while (const std::size_t count = response.read(buffer)) {
        const std::string_view bytes(buffer.data(), count);
        if (terminal) {
            write_all(BorrowedFd{STDOUT_FILENO}, bytes);
        } else {
            splitter.feed(bytes);
        }
    }
    return 0;
}

}  // namespace berth::cli
