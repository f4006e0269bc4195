#include "build/dockerfile.h"

#include "base/error.h"
#include "base/number.h"
#include "build/words.h"

namespace berth::build {

namespace {

Instruction parse_at(const Line& line, char escape) {
    try {
        return parse_instruction(line, escape);
    } catch (Error& error) {
        throw error.while_("dockerfile parse error on line {}", line.number);
    }
}

}  // namespace

Dockerfile parse_dockerfile(std::string_view text) {
    Lines lines = read_lines(text);
    Dockerfile file;
    file.escape = lines.escape;
    file.syntax = std::move(lines.syntax);
    file.check = std::move(lines.check);
    file.empty_continuations = std::move(lines.empty_continuations);
    file.warnings = std::move(lines.warnings);
    for (const Line& line : lines.lines) {
        Instruction instruction = parse_at(line, file.escape);
        if (const auto* from = std::get_if<From>(&instruction.what)) {
            file.stages.push_back({*from, std::move(instruction), {}});
        } else if (!file.stages.empty()) {
            file.stages.back().instructions.push_back(std::move(instruction));
        } else if (std::holds_alternative<Arg>(instruction.what)) {
            file.arguments.push_back(std::move(instruction));
        } else {
            throw Error(ErrorKind::invalid,
                        "dockerfile parse error on line {}: no build stage in current context",
                        line.number);
        }
    }
    if (file.stages.empty()) throw Error(ErrorKind::invalid, "no build stage in current context");
    return file;
}

Instruction parse_trigger(const std::string& text) {
    return parse_at(read_lines(text).lines.front(), '\\');
}

std::optional<std::size_t> find_stage(const Dockerfile& file, std::string_view name,
                                      std::size_t before) {
    const std::string wanted = to_lower(name);
    for (std::size_t i = before; i-- > 0;)
        if (!wanted.empty() && file.stages[i].from.name == wanted) return i;
    const auto number = whole_number<std::size_t>(name);
    if (number && *number < before) return number;
    return std::nullopt;
}

std::size_t target_stage(const Dockerfile& file, std::string_view target) {
    if (target.empty()) return file.stages.size() - 1;
    if (const auto found = find_stage(file, target, file.stages.size())) return *found;
    // docker-py and compose show this text.
    throw Error(ErrorKind::invalid, "failed to reach build target {} in Dockerfile", target);
}

}  // namespace berth::build
