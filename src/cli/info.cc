// `berth info` and `berth version`: what the engine says of itself.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/engine_client.h"
#include "cli/flags.h"

namespace berth::cli {
namespace {

using nlohmann::json;

constexpr std::array kFlags{Flag{"json", 0, FlagKind::toggle}};

std::string scalar(const json& value) {
    return value.is_string() ? value.get<std::string>() : dump_json(value);
}

std::string info_text(const json& document) {
    const JsonReader info(document);
    std::string text =
        fmt::format("Containers: {} (running {}, paused {}, stopped {})\nImages: {}\n",
                    info.integer("Containers"), info.integer("ContainersRunning"),
                    info.integer("ContainersPaused"), info.integer("ContainersStopped"),
                    info.integer("Images"));
    text += "Storage driver: " + info.string("Driver") + "\n";
    if (const json* status = info.find("DriverStatus"))
        for (const json& pair : *status)
            text += fmt::format(" {}: {}\n", scalar(pair.at(0)), scalar(pair.at(1)));
    for (const auto& [key, title] : {std::pair{"ServerVersion", "Server version"},
                                     {"CgroupDriver", "Cgroup driver"},
                                     {"CgroupVersion", "Cgroup version"},
                                     {"KernelVersion", "Kernel"},
                                     {"OperatingSystem", "Operating system"},
                                     {"Architecture", "Architecture"},
                                     {"DockerRootDir", "Data"}})
        text += fmt::format("{}: {}\n", title, info.string(key));
    for (const std::string& warning : info.strings("Warnings")) text += warning + "\n";
    return text;
}

}  // namespace

int info_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    const json info = EngineClient(invocation.host).get("/info");
    write_all(BorrowedFd{STDOUT_FILENO},
              flags.on("json") ? dump_json(info) + "\n" : info_text(info));
    return 0;
}

int version_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    std::string text = "Client: berth " BERTH_VERSION "\n";
    const json answer = EngineClient(invocation.host).get("/version");
    const JsonReader version(answer);
    if (flags.on("json")) {
        text = dump_json(answer) + "\n";
    } else {
        for (const JsonReader& component : version.objects("Components"))
            text += fmt::format("{}: {}\n", component.string("Name"), component.string("Version"));
        text += fmt::format("API: {} (minimum {})\n", version.string("ApiVersion"),
                            version.string("MinAPIVersion"));
    }
    write_all(BorrowedFd{STDOUT_FILENO}, text);
    return 0;
}

}  // namespace berth::cli
