// Identifiers that are validated when they are built: past the API's edge no bare string names a
// thing. A 64-digit lower-case hexadecimal id names containers, networks and execs.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

namespace berth {

/// 64 random lower-case hexadecimal digits from getrandom(2). The first twelve are never all
/// decimal digits, since such a short id would read as a number in a hostname.
std::string random_hex_id();
bool is_hex_id(std::string_view text);

/// An id of one kind of object; Tag keeps kinds apart at compile time.
template <typename Tag>
class ObjectId final {
  public:
    static ObjectId random() { return ObjectId(random_hex_id()); }
    /// Throws Error{invalid} when `text` is not 64 lower-case hexadecimal digits.
    static ObjectId parse(std::string_view text);
    const std::string& str() const { return text_; }
    /// The first twelve digits, as Docker shows them.
    std::string short_id() const { return text_.substr(0, 12); }
    auto operator<=>(const ObjectId&) const = default;

  private:
    explicit ObjectId(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

void check_hex_id(std::string_view text);

template <typename Tag>
ObjectId<Tag> ObjectId<Tag>::parse(std::string_view text) {
    check_hex_id(text);
    return ObjectId(std::string(text));
}

using ContainerId = ObjectId<struct ContainerTag>;
using NetworkId = ObjectId<struct NetworkTag>;
using ExecId = ObjectId<struct ExecTag>;

/// A container, volume or network name: [a-zA-Z0-9][a-zA-Z0-9_.-]+
class Name final {
  public:
    static bool is_valid(std::string_view text);
    /// Throws Error{invalid} with Docker's text.
    static Name parse(std::string_view text);
    const std::string& str() const { return text_; }
    auto operator<=>(const Name&) const = default;

  private:
    explicit Name(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

}  // namespace berth

template <typename Tag>
struct std::hash<berth::ObjectId<Tag>> {
    std::size_t operator()(const berth::ObjectId<Tag>& id) const noexcept {
        return std::hash<std::string>{}(id.str());
    }
};
