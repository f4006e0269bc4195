// The instructions of a Dockerfile as typed values. Variables are not expanded yet (config.h does).
// Pure. Throws Error{invalid} with dockerd's texts, without the line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "build/lines.h"
#include "oci/image_spec.h"

namespace berth::build {

/// The JSON form, or one text for the shell.
struct Command final {
    std::vector<std::string> words;
    bool for_shell = false;
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct From final {
    std::string image;
    std::string name;  // AS name, lower case; empty: none
    std::string platform;
};
struct Arg final {
    std::vector<std::pair<std::string, std::optional<std::string>>> variables;
};
struct Env final {
    Pairs pairs;
};
struct Label final {
    Pairs pairs;
    bool literal = false;  // of the request: nothing is expanded
};
struct Maintainer final {
    std::string name;
};
struct Expose final {
    std::vector<std::string> ports;
};
struct Volume final {
    std::vector<std::string> paths;
};
struct User final {
    std::string user;
};
struct WorkDir final {
    std::string path;
};
struct StopSignal final {
    std::string signal;
};
struct Shell final {
    std::vector<std::string> words;
};
struct Cmd final {
    Command command;
};
struct Entrypoint final {
    Command command;
};
struct Health final {
    oci::HealthCheck check;
};
struct OnBuild final {
    std::string instruction;
};
struct Run final {
    Command command;
    std::vector<Pairs> mounts;  // of each --mount: its keys in order
    std::string network;        // default, none, host
    std::string security;       // sandbox, insecure
    std::vector<std::string> flags;
    std::vector<Heredoc> heredocs;
};
/// COPY, and ADD.
struct Copy final {
    bool adds = false;
    std::vector<std::string> sources;
    std::string destination;
    std::string from, owner, mode, checksum;
    bool link = false, keep_parents = false, keep_git_directory = false;
    std::vector<std::string> excludes;
    std::vector<std::string> flags;  // as they were given
    std::vector<Heredoc> heredocs;   // a source that has one's name
};

struct Instruction final {
    std::string name;  // in upper case
    std::string text;  // the line, for messages
    int line = 1;
    int last_line = 1;
    std::variant<From, Arg, Env, Label, Maintainer, Expose, Volume, User, WorkDir, StopSignal,
                 Shell, Cmd, Entrypoint, Health, OnBuild, Run, Copy>
        what;
};

Instruction parse_instruction(const Line& line, char escape);

}  // namespace berth::build
