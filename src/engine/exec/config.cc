// What a client sends of an exec.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "engine/execs.h"

namespace berth::engine {

using nlohmann::json;

namespace {

std::optional<std::pair<std::uint32_t, std::uint32_t>> console_size_from(const JsonReader& r) {
    const auto size = r.number_pair("ConsoleSize");
    if (size == std::pair(0U, 0U)) return std::nullopt;
    return size;
}

}  // namespace

ExecConfig ExecConfig::from_json(const json& body) {
    const JsonReader r(body, "", KeyCase::any);
    ExecConfig config;
    config.attach_stdin = r.boolean("AttachStdin", false);
    config.attach_stdout = r.boolean("AttachStdout", false);
    config.attach_stderr = r.boolean("AttachStderr", false);
    config.tty = r.boolean("Tty", false);
    config.privileged = r.boolean("Privileged", false);
    config.cmd = r.strings("Cmd");
    config.env = r.strings("Env");
    config.user = r.string("User");
    config.working_dir = r.string("WorkingDir");
    config.detach_keys = r.string("DetachKeys");
    config.console_size = console_size_from(r);
    return config;
}

ExecStart ExecStart::from_json(const json& body) {
    const JsonReader r(body, "", KeyCase::any);
    return {r.boolean("Detach", false), r.boolean("Tty", false), console_size_from(r)};
}

}  // namespace berth::engine
