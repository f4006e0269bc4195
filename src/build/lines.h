// A Dockerfile as logical lines: parser directives, comments, continuation lines and heredocs are
// dealt with here, instructions are not known yet but for those that may have a heredoc. Pure.
// Throws Error{invalid} with dockerd's texts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace berth::build {

constexpr std::size_t kMaxDockerfile = 2U << 20;
constexpr std::size_t kMaxInstructions = 10'000;

struct Heredoc final {
    std::string name;
    bool expand = true;       // the name was not quoted
    bool strip_tabs = false;  // <<-
    std::string content;
};

struct Line final {
    std::string text;  // joined, without the blanks around it
    int number = 1;    // where it begins
    int last = 1;
    std::vector<Heredoc> heredocs;
};

struct Lines final {
    char escape = '\\';
    std::string syntax;  // of the directive; empty: none
    std::string check;   // the same
    std::vector<Line> lines;
    std::vector<std::string> warnings;
    std::vector<int> empty_continuations;  // where lines end that have one
};

Lines read_lines(std::string_view text);

/// The heredocs that a line announces ("<<EOF", "<<-'EOF'"), without their content.
std::vector<Heredoc> heredocs_of(std::string_view line);

}  // namespace berth::build
