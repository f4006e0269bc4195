#include "cli/flags.h"

#include <algorithm>

#include "base/error.h"

namespace berth::cli {
namespace {

const Flag& find_flag(std::span<const Flag> known, std::string_view name, char letter) {
    const auto found = std::find_if(known.begin(), known.end(), [&](const Flag& flag) {
        return letter ? flag.letter == letter : flag.name == name;
    });
    if (found != known.end()) return *found;
    if (letter) throw Error(ErrorKind::invalid, "unknown flag: -{}", letter);
    throw Error(ErrorKind::invalid, "unknown flag: --{}", name);
}

}  // namespace

Flags Flags::parse(const std::vector<std::string>& arguments, std::span<const Flag> known,
                   Positionals positionals) {
    Flags flags;
    std::size_t at = 0;
    const auto next_value = [&](const std::string& flag) -> std::string {
        if (at + 1 >= arguments.size())
            throw Error(ErrorKind::invalid, "flag needs an argument: {}", flag);
        return arguments[++at];
    };
    const auto long_flag = [&](const std::string& argument) {
        const auto equals = argument.find('=');
        const std::string name =
            argument.substr(2, equals == std::string::npos ? equals : equals - 2);
        const Flag& flag = find_flag(known, name, 0);
        std::string value = "true";
        if (equals != std::string::npos) {
            value = argument.substr(equals + 1);
        } else if (flag.kind == FlagKind::value) {
            value = next_value(argument);
        }
        flags.values_[std::string(flag.name)].push_back(value);
    };
    const auto short_flags = [&](const std::string& argument) {
        for (std::size_t i = 1; i < argument.size(); ++i) {
            const Flag& flag = find_flag(known, "", argument[i]);
            std::string value = "true";
            if (flag.kind == FlagKind::value) {
                value = argument.substr(i + 1);
                if (value.starts_with('=')) value.erase(0, 1);
                if (i + 1 == argument.size()) value = next_value(argument);
                i = argument.size();
            }
            flags.values_[std::string(flag.name)].push_back(value);
        }
    };
    for (; at < arguments.size(); ++at) {
        const std::string& argument = arguments[at];
        if (argument == "--") {
            flags.positionals_.insert(flags.positionals_.end(),
                                      arguments.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                                      arguments.end());
            break;
        }
        if (argument.starts_with("--")) {
            long_flag(argument);
        } else if (argument.size() > 1 && argument[0] == '-') {
            short_flags(argument);
        } else if (positionals == Positionals::end_of_flags) {
            flags.positionals_.assign(arguments.begin() + static_cast<std::ptrdiff_t>(at),
                                      arguments.end());
            break;
        } else {
            flags.positionals_.push_back(argument);
        }
    }
    return flags;
}

bool Flags::has(std::string_view name) const { return values_.find(name) != values_.end(); }

bool Flags::on(std::string_view name) const {
    const std::string value = get(name, "false");
    return value != "false" && value != "0" && !value.empty();
}

std::string Flags::get(std::string_view name, std::string fallback) const {
    const auto found = values_.find(name);
    return found == values_.end() ? fallback : found->second.back();
}

std::vector<std::string> Flags::all(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? std::vector<std::string>{} : found->second;
}

void Flags::require(std::size_t least, std::string_view usage) const {
    if (positionals_.size() < least)
        throw Error(ErrorKind::invalid, "too few arguments; usage: berth {}", usage);
}

}  // namespace berth::cli
