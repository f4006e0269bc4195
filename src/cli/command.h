// What the commands of `berth` share: their context and their table. One file a command; main.cc
// turns an Error into a message and an exit code, in one place.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::cli {

/// What a command is given: the engine's address and its own arguments.
struct Invocation final {
    std::string host;  // unix:///path or tcp://host:port
    std::vector<std::string> arguments;
};

struct Command final {
    std::string_view name;
    std::string_view usage;
    std::string_view summary;
    int (*run)(const Invocation& invocation);  // the exit code
};

int run_command(const Invocation& invocation);
int exec_command(const Invocation& invocation);
int cp_command(const Invocation& invocation);
int ps_command(const Invocation& invocation);
int logs_command(const Invocation& invocation);
int stop_command(const Invocation& invocation);
int rm_command(const Invocation& invocation);
int images_command(const Invocation& invocation);
int pull_command(const Invocation& invocation);
int push_command(const Invocation& invocation);
int search_command(const Invocation& invocation);
int login_command(const Invocation& invocation);
int logout_command(const Invocation& invocation);
int load_command(const Invocation& invocation);
int import_command(const Invocation& invocation);
int diff_command(const Invocation& invocation);
int export_command(const Invocation& invocation);
int commit_command(const Invocation& invocation);
int info_command(const Invocation& invocation);
int version_command(const Invocation& invocation);
int setup_command(const Invocation& invocation);
int doctor_command(const Invocation& invocation);

}  // namespace berth::cli
