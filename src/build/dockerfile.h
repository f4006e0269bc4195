// A whole Dockerfile: what stands before the first FROM, and the stages. Pure. Throws
// Error{invalid} "dockerfile parse error on line N: …".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "build/instruction.h"

namespace berth::build {

struct Stage final {
    From from;
    Instruction instruction;  // FROM itself
    std::vector<Instruction> instructions;
};

struct Dockerfile final {
    char escape = '\\';
    std::string syntax;
    std::string check;                   // settings of the linter (lint.h)
    std::vector<Instruction> arguments;  // ARG before the first FROM
    std::vector<Stage> stages;
    std::vector<std::string> warnings;
    std::vector<int> empty_continuations;
};

Dockerfile parse_dockerfile(std::string_view text);
/// One instruction of an image's ONBUILD list.
Instruction parse_trigger(const std::string& text);

/// The stage of that name or number; of a name that is there twice the last one before `before`.
std::optional<std::size_t> find_stage(const Dockerfile& file, std::string_view name,
                                      std::size_t before);
/// The stage to build. Throws Error{invalid} for an unknown target.
std::size_t target_stage(const Dockerfile& file, std::string_view target);

}  // namespace berth::build
