// A content digest, "sha256:" and 64 hexadecimal digits. Computing one is src/archive's work.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

namespace berth {

class Digest final {
  public:
    /// Throws Error{invalid} unless `text` is sha256:<64 lower-case hexadecimal digits>.
    static Digest parse(std::string_view text);
    static bool is_valid(std::string_view text);
    /// From the 64 digits alone.
    static Digest from_hex(std::string_view hex);
    const std::string& str() const { return text_; }
    std::string hex() const { return text_.substr(kPrefix.size()); }
    /// The first twelve digits, as progress lines show them.
    std::string short_hex() const { return text_.substr(kPrefix.size(), 12); }
    auto operator<=>(const Digest&) const = default;

  private:
    static constexpr std::string_view kPrefix = "sha256:";
    explicit Digest(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

}  // namespace berth

template <>
struct std::hash<berth::Digest> {
    std::size_t operator()(const berth::Digest& digest) const noexcept {
        return std::hash<std::string>{}(digest.str());
    }
};
