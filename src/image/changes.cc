#include "image/changes.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/text.h"
#include "build/arguments.h"
#include "build/config.h"
#include "build/words.h"

namespace berth::image {

namespace {

constexpr std::array<std::string_view, 12> kAllowed{
    "CMD",   "ENTRYPOINT", "ENV",        "EXPOSE", "HEALTHCHECK", "LABEL",
    "SHELL", "ONBUILD",    "STOPSIGNAL", "USER",   "VOLUME",      "WORKDIR"};

void check_allowed(std::string_view line) {
    const std::string_view name = build::take_word(line);
    if (std::ranges::find(kAllowed, to_upper(name)) == kAllowed.end())
        throw Error(ErrorKind::invalid, "{} is not a valid change command", name);
}

bool says_something(std::string_view text) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = trimmed(text.substr(0, end));
        if (!line.empty() && !line.starts_with('#')) return true;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return false;
}

}  // namespace

oci::ContainerDefaults apply_changes(oci::ContainerDefaults base,
                                     const std::vector<std::string>& changes) {
    build::StageConfig stage{.config = std::move(base), .author = ""};
    const build::Arguments none({});
    for (const std::string& text : changes) {
        if (!says_something(text)) continue;
        const build::Lines lines = build::read_lines(text);
        for (const build::Line& line : lines.lines) {
            check_allowed(line.text);
            const build::Instruction instruction = build::parse_instruction(line, lines.escape);
            build::apply(stage, instruction, none.lookup(stage.config.env), lines.escape);
        }
    }
    return std::move(stage.config);
}

}  // namespace berth::image
