// The wire format of Protocol Buffers (proto3), for messages whose fields are named by number where
// they are used. Unknown fields are passed over; what has its default value is not written. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace berth::grpc {

class WireWriter final {
  public:
    /// int32, int64, uint32, uint64, bool and enum.
    WireWriter& number(unsigned field, std::uint64_t value);
    /// string and bytes.
    WireWriter& text(unsigned field, std::string_view value);
    WireWriter& texts(unsigned field, const std::vector<std::string>& values);
    /// An embedded message, written even when it is empty.
    WireWriter& message(unsigned field, std::string_view encoded);
    WireWriter& message(unsigned field, const WireWriter& inner) {
        return message(field, inner.bytes_);
    }
    /// map<string, string> or map<string, bytes>.
    WireWriter& map(unsigned field, const std::map<std::string, std::string>& entries);
    const std::string& bytes() const { return bytes_; }
    std::string take() { return std::move(bytes_); }

  private:
    void varint(std::uint64_t value);
    std::string bytes_;
};

/// Goes through the fields of one message; borrows its bytes. Throws Error{invalid} where they are
/// malformed.
class WireReader final {
  public:
    explicit WireReader(std::string_view bytes) : rest_(bytes) {}
    /// Goes to the next field; false at the end.
    bool next();
    unsigned field() const { return field_; }
    std::uint64_t number() const { return number_; }
    /// Throws Error{invalid} when the field is a number.
    std::string_view text() const;

  private:
    std::uint64_t varint();
    std::string_view taken(std::uint64_t size);
    enum class Kind { number, text };
    std::string_view rest_;
    std::string_view text_;
    std::uint64_t number_ = 0;
    unsigned field_ = 0;
    Kind kind_ = Kind::number;
};

/// Adds an entry of a map<string, string> or map<string, bytes>.
void read_entry(std::string_view encoded, std::map<std::string, std::string>& into);

}  // namespace berth::grpc
