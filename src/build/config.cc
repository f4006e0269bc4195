#include "build/config.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"
#include "build/words.h"

namespace berth::build {

namespace {

int parse_port(std::string_view text, std::string_view whole) {
    const auto port = whole_number<int>(text);
    if (!port || *port < 1 || *port > 65535)
        throw Error(ErrorKind::invalid, "Invalid containerPort: {}", whole);
    return *port;
}

void expose(oci::ContainerDefaults& config, std::string_view word) {
    std::string_view ports = word;
    std::string protocol = "tcp";
    if (const std::size_t slash = word.find('/'); slash != std::string_view::npos) {
        ports = word.substr(0, slash);
        protocol = to_lower(word.substr(slash + 1));
        if (protocol != "tcp" && protocol != "udp" && protocol != "sctp")
            throw Error(ErrorKind::invalid, "Invalid proto: {}", protocol);
    }
    const std::size_t dash = ports.find('-');
    const int first = parse_port(ports.substr(0, dash), word);
    const int last =
        dash == std::string_view::npos ? first : parse_port(ports.substr(dash + 1), word);
    if (last < first) throw Error(ErrorKind::invalid, "Invalid containerPort: {}", word);
    for (int port = first; port <= last; ++port)
        config.exposed_ports.insert(fmt::format("{}/{}", port, protocol));
}

void set_env(oci::ContainerDefaults& config, const std::string& name, const std::string& value) {
    const std::string entry = name + "=" + value;
    for (std::string& existing : config.env) {
        if (variable_name(existing) != name) continue;
        existing = entry;
        return;
    }
    config.env.push_back(entry);
}

/// A number as Go's %q prints it: as the character that has it.
std::string quoted_number(std::int64_t number) {
    if (number > 0x20 && number < 0x7f) return fmt::format("'{}'", static_cast<char>(number));
    return fmt::format("'\\x{:02x}'", number);
}

/// Applies one kind of instruction each; the result is what the history says.
struct Applier final {
    StageConfig& stage;
    const Lookup& lookup;
    char escape;

    oci::ContainerDefaults& config() const { return stage.config; }
    std::string expanded(const std::string& text) const { return expand(text, lookup, escape); }

    std::string operator()(const Env& env) const {
        std::string text = "ENV";
        for (const auto& [raw_name, raw_value] : env.pairs) {
            const std::string name = expanded(raw_name), value = expanded(raw_value);
            if (name.empty() || name.find('=') != std::string::npos)
                throw Error(ErrorKind::invalid, "ENV names can not be blank");
            set_env(config(), name, value);
            text += " " + name + "=" + value;
        }
        return text;
    }
    std::string operator()(const Label& label) const {
        std::string text = "LABEL";
        for (const auto& [raw_name, raw_value] : label.pairs) {
            const std::string name = label.literal ? raw_name : expanded(raw_name);
            const std::string value = label.literal ? raw_value : expanded(raw_value);
            if (name.empty()) throw Error(ErrorKind::invalid, "LABEL names can not be blank");
            config().labels[name] = value;
            text += " " + name + "=" + value;
        }
        return text;
    }
    std::string operator()(const Maintainer& maintainer) const {
        stage.author = expanded(maintainer.name);
        return "MAINTAINER " + stage.author;
    }
    std::string operator()(const Expose& ports) const {
        std::string text = "EXPOSE";
        for (const std::string& port : ports.ports)
            for (const std::string& word : expand_words(port, lookup, escape)) {
                expose(config(), word);
                text += " " + word;
            }
        return text;
    }
    std::string operator()(const Volume& volume) const {
        std::vector<std::string> paths;
        for (const std::string& path : volume.paths) {
            paths.push_back(expanded(path));
            if (paths.back().empty())
                throw Error(ErrorKind::invalid, "VOLUME specified can not be an empty string");
            config().volumes.insert(paths.back());
        }
        return fmt::format("VOLUME [{}]", fmt::join(paths, " "));
    }
    std::string operator()(const User& user) const {
        config().user = expanded(user.user);
        return "USER " + config().user;
    }
    std::string operator()(const WorkDir& directory) const {
        const std::string path = expanded(directory.path);
        if (path.empty()) throw Error(ErrorKind::invalid, "cannot normalize nothing");
        config().working_dir = path_in(config().working_dir, path);
        return "WORKDIR " + config().working_dir;
    }
    std::string operator()(const StopSignal& signal) const {
        config().stop_signal = expanded(signal.signal);
        return "STOPSIGNAL " + config().stop_signal;
    }
    std::string operator()(const Shell& shell) const {
        config().shell = shell.words;
        return fmt::format("SHELL [{}]", fmt::join(shell.words, " "));
    }
    std::string operator()(const Cmd& cmd) const {
        config().cmd = words_of_command(cmd.command, config());
        stage.command_set = true;
        return "CMD " + in_quotes(*config().cmd);
    }
    std::string operator()(const Entrypoint& entrypoint) const {
        config().entrypoint = words_of_command(entrypoint.command, config());
        if (!stage.command_set) config().cmd.reset();
        return "ENTRYPOINT " + in_quotes(*config().entrypoint);
    }
    std::string operator()(const Health& health) const {
        const oci::HealthCheck& check = health.check;
        config().healthcheck = check;
        return fmt::format("HEALTHCHECK &{{{} \"{}\" \"{}\" \"{}\" \"{}\" {}}}",
                           in_quotes(check.test), duration_text(check.interval),
                           duration_text(check.timeout), duration_text(check.start_period),
                           duration_text(check.start_interval), quoted_number(check.retries));
    }
    std::string operator()(const OnBuild& trigger) const {
        config().on_build.push_back(trigger.instruction);
        return "ONBUILD " + trigger.instruction;
    }
    template <typename Other>
    std::string operator()(const Other&) const {
        throw Error(ErrorKind::internal, "an instruction that changes more than the configuration");
    }
};

}  // namespace

std::string apply(StageConfig& stage, const Instruction& instruction, const Lookup& lookup,
                  char escape) {
    return std::visit(Applier{stage, lookup, escape}, instruction.what);
}

std::vector<std::string> shell_of(const oci::ContainerDefaults& config) {
    if (config.shell && !config.shell->empty()) return *config.shell;
    return {"/bin/sh", "-c"};
}

std::vector<std::string> words_of_command(const Command& command,
                                          const oci::ContainerDefaults& config) {
    if (!command.for_shell) return command.words;
    std::vector<std::string> words = shell_of(config);
    words.insert(words.end(), command.words.begin(), command.words.end());
    return words;
}

std::string path_in(const std::string& working_directory, const std::string& path) {
    const std::string whole = path.starts_with('/') ? path : working_directory + "/" + path;
    std::vector<std::string_view> parts;
    for (const std::string_view part : words_of(whole, "/")) {
        if (part == ".") continue;
        if (part != "..")
            parts.push_back(part);
        else if (!parts.empty())
            parts.pop_back();
    }
    return fmt::format("/{}", fmt::join(parts, "/"));
}

}  // namespace berth::build
