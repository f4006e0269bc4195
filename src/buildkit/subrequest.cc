#include "buildkit/subrequest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "build/words.h"

namespace berth::buildkit {

namespace {
using build::Dockerfile;
using build::Instruction;
using nlohmann::json;

struct Subject final {
    const Subrequest& request;
    const Dockerfile& file;
    std::vector<std::string_view> lines;
};

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

json location_of(int line, int last_line) {
    return {{"ranges", {{{"start", {{"line", line}}}, {"end", {{"line", last_line}}}}}}};
}
json location_of(const Instruction& instruction) {
    return location_of(instruction.line, instruction.last_line);
}

/// Of the comments right above an instruction the one that begins with the name.
std::string description_of(const Subject& subject, const Instruction& instruction,
                           std::string_view name) {
    for (auto i = static_cast<std::size_t>(instruction.line - 1); i-- > 0;) {
        if (i >= subject.lines.size()) break;
        std::string_view line = trimmed(subject.lines[i]);
        if (!line.starts_with('#')) break;
        line = trimmed(line.substr(1));
        if (line.starts_with(name) && line.substr(name.size()).starts_with(' '))
            return std::string(trimmed(line.substr(name.size())));
    }
    return "";
}

void add_text(json& object, const char* key, const std::string& text) {
    if (!text.empty()) object[key] = text;
}

json targets(const Subject& subject) {
    json list = json::array();
    for (const build::Stage& stage : subject.file.stages) {
        json target{{"location", location_of(stage.instruction)}, {"base", stage.from.image}};
        add_text(target, "name", stage.from.name);
        add_text(target, "platform", stage.from.platform);
        if (!stage.from.name.empty())
            add_text(target, "description",
                     description_of(subject, stage.instruction, stage.from.name));
        if (&stage == &subject.file.stages.back()) target["default"] = true;
        list.push_back(std::move(target));
    }
    return {{"targets", std::move(list)}, {"sources", {encode_base64(subject.request.text)}}};
}

/// Adds what an instruction declares, each name once: the first one stays.
void add_named(json& list, const char* key, json entry) {
    const auto same = [&](const json& other) { return other.at(key) == entry.at(key); };
    if (std::ranges::none_of(list, same)) list.push_back(std::move(entry));
}

void outline_arguments(const Subject& subject, const Instruction& instruction, json& list) {
    const auto* arg = std::get_if<build::Arg>(&instruction.what);
    if (arg == nullptr) return;
    for (const auto& [name, value] : arg->variables) {
        json entry{{"name", name}, {"location", location_of(instruction)}};
        const auto given = subject.request.arguments.find(name);
        const bool is_given = given != subject.request.arguments.end();
        add_text(entry, "value", is_given ? given->second : value.value_or(""));
        add_text(entry, "description", description_of(subject, instruction, name));
        add_named(list, "name", std::move(entry));
    }
}

std::string value_of(const build::Pairs& mount, std::initializer_list<std::string_view> keys) {
    for (const auto& [key, value] : mount)
        if (std::ranges::find(keys, key) != keys.end()) return value;
    return "";
}

void outline_mounts(const Instruction& instruction, json& outline) {
    const auto* run = std::get_if<build::Run>(&instruction.what);
    if (run == nullptr) return;
    for (const build::Pairs& mount : run->mounts) {
        const std::string type = value_of(mount, {"type"});
        const std::string target = value_of(mount, {"target", "dst", "destination"});
        std::string id = value_of(mount, {"id"});
        if (type == "cache") {
            if (id.empty()) id = target;
            add_named(outline["cache"], "ID", {{"ID", id}, {"location", location_of(instruction)}});
        }
        if (type != "secret" && type != "ssh") continue;
        if (id.empty()) id = type == "ssh" ? "default" : target.substr(target.rfind('/') + 1);
        json entry{{"name", id}, {"location", location_of(instruction)}};
        const bool named =
            std::ranges::any_of(mount, [](const auto& pair) { return pair.first == "required"; });
        if (named && value_of(mount, {"required"}) != "false") entry["required"] = true;
        add_named(outline[type == "ssh" ? "ssh" : "secrets"], "name", std::move(entry));
    }
}

/// The stages that the target is made of, in their order.
std::vector<std::size_t> parts_of(const Dockerfile& file, std::size_t target) {
    std::vector<bool> needed(target + 1);
    needed[target] = true;
    std::vector<std::size_t> parts;
    for (std::size_t i = target + 1; i-- > 0;) {
        if (!needed[i]) continue;
        parts.insert(parts.begin(), i);
        const auto need = [&](const std::string& name) {
            if (const auto stage = build::find_stage(file, name, i)) needed[*stage] = true;
        };
        need(file.stages[i].from.image);
        for (const Instruction& instruction : file.stages[i].instructions)
            if (const auto* copy = std::get_if<build::Copy>(&instruction.what)) need(copy->from);
    }
    return parts;
}

json outline(const Subject& subject) {
    const std::size_t target = build::target_stage(subject.file, subject.request.target);
    const build::Stage& stage = subject.file.stages[target];
    json result{{"args", json::array()},
                {"secrets", json::array()},
                {"ssh", json::array()},
                {"cache", json::array()},
                {"sources", {encode_base64(subject.request.text)}}};
    add_text(result, "name", stage.from.name);
    if (!stage.from.name.empty())
        add_text(result, "description",
                 description_of(subject, stage.instruction, stage.from.name));
    for (const Instruction& instruction : subject.file.arguments)
        outline_arguments(subject, instruction, result["args"]);
    for (const std::size_t needed : parts_of(subject.file, target))
        for (const Instruction& instruction : subject.file.stages[needed].instructions) {
            outline_arguments(subject, instruction, result["args"]);
            outline_mounts(instruction, result);
        }
    return result;
}

json lint(const Subject& subject) {
    json warnings = json::array();
    for (const build::LintWarning& warning : build::lint(subject.file, subject.request.lint))
        warnings.push_back({{"ruleName", warning.rule->name},
                            {"description", warning.rule->description},
                            {"url", warning.rule->url},
                            {"detail", warning.detail},
                            {"location", location_of(warning.line, warning.last_line)}});
    const json source{{"filename", subject.request.filename},
                      {"language", "Dockerfile"},
                      {"data", encode_base64(subject.request.text)}};
    return {{"warnings", std::move(warnings)}, {"sources", {source}}};
}

struct Known final {
    const char* name;
    const char* description;
    json (*answer)(const Subject& subject);
};
constexpr std::array kKnown{
    Known{"frontend.outline", "List all parameters current build target supports", outline},
    Known{"frontend.targets", "List all targets current build supports", targets},
    Known{"frontend.lint", "Lint a Dockerfile", lint}};

json describe() {
    json list = json::array();
    for (const Known& known : kKnown)
        list.push_back({{"Name", known.name},
                        {"Version", "1.0.0"},
                        {"Type", "rpc"},
                        {"Description", known.description}});
    return list;
}

/// For clients that do not know the form of the answer.
std::string plain_text(const json& result) {
    std::string text;
    if (!result.is_object() || !result.contains("warnings")) return dump_json(result) + "\n";
    for (const json& warning : result.at("warnings"))
        text += fmt::format("WARNING: {} - {}\n{}\n\n", warning.at("ruleName").get<std::string>(),
                            warning.at("url").get<std::string>(),
                            warning.at("detail").get<std::string>());
    return text;
}

Attributes metadata_of(const json& result) {
    Attributes metadata{{"version", "1.0.0"}};
    metadata["result.json"] = dump_json(result);
    metadata["result.txt"] = plain_text(result);
    if (result.is_object() && result.contains("warnings"))
        metadata["result.statuscode"] = result.at("warnings").empty() ? "0" : "1";
    return metadata;
}
}  // namespace

Attributes answer(const Subrequest& request) {
    if (request.name == "frontend.subrequests.describe") return metadata_of(describe());
    const auto known = std::ranges::find_if(
        kKnown, [&](const Known& entry) { return request.name == entry.name; });
    if (known == kKnown.end())
        throw Error(ErrorKind::unsupported, "the Dockerfile request {} is not supported",
                    request.name);
    const Dockerfile file = build::parse_dockerfile(request.text);
    return metadata_of(known->answer({request, file, lines_of(request.text)}));
}

build::LintSettings lint_settings(const Dockerfile& file, const Attributes& arguments) {
    const auto given = arguments.find("BUILDKIT_DOCKERFILE_CHECK");
    return build::lint_settings(given == arguments.end() ? file.check : given->second);
}

std::string short_text(const build::LintWarning& warning) {
    return fmt::format("{}: {} (line {})", warning.rule->name, warning.detail, warning.line);
}

}  // namespace berth::buildkit
