// .dockerignore: which files of a context are left out. The last line that matches a path or one of
// its parents decides; "!" takes back. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace berth::build {

constexpr std::size_t kMaxIgnoreFile = 1U << 20;
constexpr std::size_t kMaxIgnorePatterns = 10'000;

/// Its lines that say something, without blanks around them. They borrow `text`.
std::vector<std::string_view> ignore_lines(std::string_view text);

class IgnoreFile final {
  public:
    IgnoreFile() = default;
    /// Throws Error{invalid} past the limits.
    explicit IgnoreFile(std::string_view text);
    bool empty() const { return patterns_.empty(); }
    /// `path` is relative: "a/b".
    bool excludes(std::string_view path) const;
    /// Whether something below an excluded directory may be kept.
    bool has_exceptions() const;

  private:
    struct Pattern final {
        std::string glob;
        bool negated = false;
    };
    std::vector<Pattern> patterns_;
};

}  // namespace berth::build
