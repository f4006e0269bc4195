// What a client asks of a Dockerfile instead of building it (docker build --check, --call): the
// answer is the metadata of a result without an image. Pure.
#pragma once

#include <string>

#include "build/lint.h"
#include "buildkit/messages.h"

namespace berth::buildkit {

struct Subrequest final {
    std::string name;  // frontend.lint, frontend.outline, frontend.targets, …
    std::string filename;
    std::string text;  // of the Dockerfile
    std::string target;
    Attributes arguments;  // build arguments
    build::LintRequest lint;
};

/// Throws Error{unsupported} for another name, Error{invalid} for a bad Dockerfile.
Attributes answer(const Subrequest& request);

/// The rules as the Dockerfile or the build argument BUILDKIT_DOCKERFILE_CHECK sets them.
build::LintSettings lint_settings(const build::Dockerfile& file, const Attributes& arguments);
/// "Rule: detail (line N)"
std::string short_text(const build::LintWarning& warning);

}  // namespace berth::buildkit
