// Every option of the daemon in one table: it drives the flags (dockerd's), the keys of
// daemon.json, the types, the help text and the `configure` message. Pure: no IO but through
// FileReader.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/config.h"

namespace berth::daemon {

enum class Kind {
    boolean,
    choice,
    integer,
    bytes,
    string,
    list,
    map,
    runtimes,
    ulimits,
    pools,
    features,
    object
};

/// What becomes of an option that a user gives.
enum class Support {
    full,
    ignored,  // harmless without effect: accepted with a warning that gives the reason
    refused,  // its effect would be missed: an error that gives the reason
};

using Member = std::variant<
    std::monostate, bool Config::*, Choice Config::*, std::int64_t Config::*, std::string Config::*,
    std::vector<std::string> Config::*, std::map<std::string, std::string> Config::*,
    std::map<std::string, RuntimeProgram> Config::*, std::map<std::string, UlimitDefault> Config::*,
    std::vector<AddressPool> Config::*, std::map<std::string, bool> Config::*>;

struct Option final {
    std::string_view key;   // of daemon.json, a dot before a nested one; empty: flag only
    std::string_view flag;  // without dashes; empty: file only
    char letter = 0;        // one-letter flag
    Kind kind = Kind::string;
    Member member;  // nothing for options without effect
    std::string_view help;
    Support support = Support::full;
    std::string_view reason;
};

std::span<const Option> options();
/// nullptr when there is none. `text` is without dashes.
const Option* find_flag(std::string_view text);
const Option* find_letter(char letter);
const Option* find_key(std::string_view key);

/// The directories of the user that defaults are made from.
struct Environment final {
    std::string runtime_directory;  // $XDG_RUNTIME_DIR or what replaces it
    std::string data_home;
    std::string config_home;
};

/// The content of a file, nothing when it is absent.
using FileReader = std::function<std::optional<std::string>(const std::string& path)>;

enum class Action { run, validate, help, version };

struct CommandLine final {
    Action action = Action::run;
    Config config;
    std::vector<std::string> warnings;
};

/// Reads flags (without the program's name) and daemon.json, and checks the result.
/// Throws Error{invalid} in dockerd's words.
CommandLine read_command_line(const std::vector<std::string>& arguments,
                              const Environment& environment, const FileReader& read);

std::string help_text();

/// The value of one flag, added to (list) or put into the configuration. Throws Error{invalid}.
void set_from_text(Config& config, const Option& option, std::string_view text);
/// The value of one key of daemon.json. Throws Error{invalid} naming the key.
void set_from_json(Config& config, const Option& option, const nlohmann::json& value);
nlohmann::json member_to_json(const Config& config, const Option& option);

/// "64M", "1g", "512kb", "1048576": binary multiples, as docker's sizes of memory.
std::int64_t parse_bytes(std::string_view text);

/// The checks of values; gives warnings. Throws Error{invalid}.
std::vector<std::string> check_config(const Config& config);

}  // namespace berth::daemon
