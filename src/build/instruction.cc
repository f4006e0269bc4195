#include "build/instruction.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"
#include "build/flags.h"
#include "build/words.h"

namespace berth::build {

namespace {

/// What every parser of an instruction gets.
struct Input final {
    const Line& line;
    const std::string& name;
    std::string_view rest;  // without flags
    Flags& flags;
    const std::vector<std::string>& flag_words;
    char escape;

    void require_something() const {
        if (rest.empty())
            throw Error(ErrorKind::invalid, "{} requires at least one argument", name);
    }
    std::string one_argument() const {
        if (rest.empty()) throw Error(ErrorKind::invalid, "{} requires exactly one argument", name);
        return std::string(rest);
    }
    std::vector<std::string> list_or_words() const {
        if (auto list = json_list(rest)) return *std::move(list);
        return raw_words(rest, escape);
    }
    Command command() const {
        if (auto list = json_list(rest)) return {*std::move(list), false};
        return {{std::string(rest)}, true};
    }
};

bool is_stage_name(std::string_view name) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    };
    return !name.empty() && name.front() >= 'a' && name.front() <= 'z' &&
           std::ranges::all_of(name, allowed);
}

From parse_from(Input& input) {
    From from;
    from.platform = input.flags.take("platform");
    const std::vector<std::string> words = raw_words(input.rest, input.escape);
    if (words.size() != 1 && (words.size() != 3 || to_upper(words[1]) != "AS"))
        throw Error(ErrorKind::invalid, "FROM requires either one or three arguments");
    from.image = words.front();
    if (words.size() == 1) return from;
    from.name = to_lower(words[2]);
    if (!is_stage_name(from.name))
        throw Error(ErrorKind::invalid,
                    "invalid name for build stage: \"{}\", name can't start with a number or "
                    "contain symbols",
                    words[2]);
    return from;
}

Arg parse_arg(Input& input) {
    input.require_something();
    Arg arg;
    for (const std::string& word : raw_words(input.rest, input.escape)) {
        const std::size_t equals = word.find('=');
        if (equals == 0) throw Error(ErrorKind::invalid, "ARG names can not be blank");
        std::optional<std::string> value;
        if (equals != std::string::npos) value = word.substr(equals + 1);
        arg.variables.emplace_back(word.substr(0, equals), std::move(value));
    }
    return arg;
}

/// "k=v k2=v2", or the old form "k the rest".
Pairs parse_pairs(Input& input) {
    input.require_something();
    const std::vector<std::string> words = raw_words(input.rest, input.escape);
    if (words.front().find('=') == std::string::npos) {
        std::string_view rest = input.rest;
        const std::string key(take_word(rest));
        if (rest.empty()) throw Error(ErrorKind::invalid, "{} must have two arguments", input.name);
        return {{key, std::string(rest)}};
    }
    Pairs pairs;
    for (const std::string& word : words) {
        const std::size_t equals = word.find('=');
        if (equals == std::string::npos)
            throw Error(ErrorKind::invalid,
                        "Syntax error - can't find = in \"{}\". Must be of the form: name=value",
                        word);
        if (equals == 0) throw Error(ErrorKind::invalid, "{} names can not be blank", input.name);
        pairs.emplace_back(word.substr(0, equals), word.substr(equals + 1));
    }
    return pairs;
}

Volume parse_volume(Input& input) {
    input.require_something();
    Volume volume{input.list_or_words()};
    if (volume.paths.empty())
        throw Error(ErrorKind::invalid, "VOLUME requires at least one argument");
    for (std::string& path : volume.paths) {
        path = trimmed(path);
        if (path.empty())
            throw Error(ErrorKind::invalid, "VOLUME specified can not be an empty string");
    }
    return volume;
}

Shell parse_shell(Input& input) {
    auto list = json_list(input.rest);
    if (!list) throw Error(ErrorKind::invalid, "SHELL requires the arguments to be in JSON form");
    if (list->empty()) throw Error(ErrorKind::invalid, "SHELL requires at least one argument");
    return {*std::move(list)};
}

std::int64_t health_time(Input& input, const std::string& flag) {
    const std::string text = input.flags.take(flag);
    if (text.empty()) return 0;
    const std::int64_t span = parse_duration(text);
    if (span != 0 && span < 1'000'000)
        throw Error(ErrorKind::invalid, "Interval \"{}\" cannot be less than 1ms", flag);
    return span;
}

Health parse_health(Input& input) {
    input.require_something();
    oci::HealthCheck check;
    check.interval = health_time(input, "interval");
    check.timeout = health_time(input, "timeout");
    check.start_period = health_time(input, "start-period");
    check.start_interval = health_time(input, "start-interval");
    if (const std::string text = input.flags.take("retries"); !text.empty()) {
        const auto retries = whole_number<decltype(check.retries)>(text);
        if (!retries)
            throw Error(ErrorKind::invalid, "strconv.ParseInt: parsing \"{}\": invalid syntax",
                        text);
        check.retries = *retries;
        if (check.retries < 0)
            throw Error(ErrorKind::invalid, "--retries cannot be negative ({})", check.retries);
    }
    std::string_view rest = input.rest;
    const std::string type = to_upper(take_word(rest));
    if (type == "NONE") {
        if (!rest.empty()) throw Error(ErrorKind::invalid, "HEALTHCHECK NONE takes no arguments");
        check.test = {"NONE"};
        return {check};
    }
    if (type != "CMD")
        throw Error(ErrorKind::invalid, "Unknown type \"{}\" in HEALTHCHECK (try CMD)", type);
    if (rest.empty()) throw Error(ErrorKind::invalid, "Missing command after HEALTHCHECK CMD");
    if (auto list = json_list(rest)) {
        check.test = {"CMD"};
        check.test.insert(check.test.end(), list->begin(), list->end());
    } else {
        check.test = {"CMD-SHELL", std::string(rest)};
    }
    return {check};
}

OnBuild parse_on_build(Input& input) {
    input.require_something();
    std::string_view rest = input.rest;
    const std::string trigger = to_upper(take_word(rest));
    if (trigger == "ONBUILD")
        throw Error(ErrorKind::invalid, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (trigger == "FROM" || trigger == "MAINTAINER")
        throw Error(ErrorKind::invalid, "{} isn't allowed as an ONBUILD trigger", trigger);
    std::string text(input.rest);
    for (const Heredoc& heredoc : input.line.heredocs)
        text += "\n" + heredoc.content + heredoc.name;
    return {std::move(text)};
}

/// "type=cache,target=/x,ro": a key without a value has an empty one.
Pairs parse_mount(std::string_view text) {
    Pairs pairs;
    while (!text.empty()) {
        const std::size_t comma = std::min(text.find(','), text.size());
        const std::string_view field = text.substr(0, comma);
        text.remove_prefix(std::min(comma + 1, text.size()));
        const std::size_t equals = std::min(field.find('='), field.size());
        if (equals == 0) throw Error(ErrorKind::invalid, "invalid field '{}' in a mount", field);
        pairs.emplace_back(to_lower(field.substr(0, equals)),
                           std::string(field.substr(std::min(equals + 1, field.size()))));
    }
    return pairs;
}

Run parse_run(Input& input) {
    Run run;
    run.flags = input.flag_words;
    for (const std::string& mount : input.flags.take_all("mount"))
        run.mounts.push_back(parse_mount(mount));
    run.network = input.flags.take("network");
    run.security = input.flags.take("security");
    input.require_something();
    run.command = input.command();
    run.heredocs = input.line.heredocs;
    return run;
}

Copy parse_copy(Input& input) {
    Copy copy;
    copy.adds = input.name == "ADD";
    copy.flags = input.flag_words;
    copy.owner = input.flags.take("chown");
    copy.mode = input.flags.take("chmod");
    copy.link = input.flags.take_boolean("link");
    copy.excludes = input.flags.take_all("exclude");
    if (copy.adds) {
        copy.checksum = input.flags.take("checksum");
        copy.keep_git_directory = input.flags.take_boolean("keep-git-dir");
    } else {
        copy.from = input.flags.take("from");
        copy.keep_parents = input.flags.take_boolean("parents");
    }
    std::vector<std::string> words = input.list_or_words();
    if (words.empty())
        throw Error(ErrorKind::invalid,
                    "{} requires at least two arguments, but only one was "
                    "provided. Destination could not be determined",
                    input.name);
    copy.destination = std::move(words.back());
    words.pop_back();
    if (words.empty())
        throw Error(ErrorKind::invalid,
                    "{} requires at least two arguments, but only one was "
                    "provided. Destination could not be determined",
                    input.name);
    copy.sources = std::move(words);
    copy.heredocs = input.line.heredocs;
    return copy;
}

using What = decltype(Instruction::what);
using Parser = What (*)(Input&);

const std::map<std::string, Parser, std::less<>>& parsers() {
    static const std::map<std::string, Parser, std::less<>> table{
        {"FROM", [](Input& in) -> What { return parse_from(in); }},
        {"ARG", [](Input& in) -> What { return parse_arg(in); }},
        {"ENV", [](Input& in) -> What { return Env{parse_pairs(in)}; }},
        {"LABEL", [](Input& in) -> What { return Label{parse_pairs(in)}; }},
        {"MAINTAINER", [](Input& in) -> What { return Maintainer{in.one_argument()}; }},
        {"EXPOSE",
         [](Input& in) -> What {
             in.require_something();
             return Expose{raw_words(in.rest, in.escape)};
         }},
        {"VOLUME", [](Input& in) -> What { return parse_volume(in); }},
        {"USER", [](Input& in) -> What { return User{in.one_argument()}; }},
        {"WORKDIR", [](Input& in) -> What { return WorkDir{in.one_argument()}; }},
        {"STOPSIGNAL", [](Input& in) -> What { return StopSignal{in.one_argument()}; }},
        {"SHELL", [](Input& in) -> What { return parse_shell(in); }},
        {"CMD", [](Input& in) -> What { return Cmd{in.command()}; }},
        {"ENTRYPOINT",
         [](Input& in) -> What {
             in.require_something();
             return Entrypoint{in.command()};
         }},
        {"HEALTHCHECK", [](Input& in) -> What { return parse_health(in); }},
        {"ONBUILD", [](Input& in) -> What { return parse_on_build(in); }},
        {"RUN", [](Input& in) -> What { return parse_run(in); }},
        {"ADD", [](Input& in) -> What { return parse_copy(in); }},
        {"COPY", [](Input& in) -> What { return parse_copy(in); }}};
    return table;
}

}  // namespace

Instruction parse_instruction(const Line& line, char escape) {
    std::string_view rest = line.text;
    const std::string_view word = take_word(rest);
    Instruction instruction{.name = to_upper(word),
                            .text = line.text,
                            .line = line.number,
                            .last_line = line.last,
                            .what = {}};
    const auto parser = parsers().find(instruction.name);
    if (parser == parsers().end()) throw Error(ErrorKind::invalid, "unknown instruction: {}", word);
    const std::vector<std::string> flag_words = take_flags(rest, escape);
    Flags flags(flag_words);
    Input input{line, instruction.name, rest, flags, flag_words, escape};
    instruction.what = parser->second(input);
    flags.check_empty();
    return instruction;
}

}  // namespace berth::build
