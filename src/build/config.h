// What instructions make of an image's configuration, and how the history tells it. Pure. Throws
// Error{invalid} with dockerd's texts.
#pragma once

#include <string>
#include <vector>

#include "build/expand.h"
#include "build/instruction.h"
#include "oci/image_spec.h"

namespace berth::build {

struct StageConfig final {
    oci::ContainerDefaults config;
    std::string author;
    bool command_set = false;  // by this Dockerfile: ENTRYPOINT takes away an inherited CMD
};

/// The instruction as the history has it, with its variables expanded: `CMD ["sh"]`, `WORKDIR /a`.
/// For what only changes the configuration: not for FROM, ARG, RUN, COPY and ADD.
std::string apply(StageConfig& stage, const Instruction& instruction, const Lookup& lookup,
                  char escape);

/// The arguments of the shell in front of a command's text.
std::vector<std::string> shell_of(const oci::ContainerDefaults& config);
/// What RUN, CMD and ENTRYPOINT run.
std::vector<std::string> words_of_command(const Command& command,
                                          const oci::ContainerDefaults& config);
/// A path that may be relative to the working directory, clean.
std::string path_in(const std::string& working_directory, const std::string& path);

}  // namespace berth::build
