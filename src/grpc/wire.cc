#include "grpc/wire.h"

#include "base/error.h"

namespace berth::grpc {

namespace {
// Wire types of the format.
constexpr unsigned kVarint = 0;
constexpr unsigned kEightBytes = 1;
constexpr unsigned kLength = 2;
constexpr unsigned kFourBytes = 5;

Error malformed(const char* what) {
    return Error(ErrorKind::invalid, "a malformed message: {}", what);
}

std::uint64_t little_endian(std::string_view bytes) {
    std::uint64_t value = 0;
    for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte)
        value = value << 8 | static_cast<unsigned char>(*byte);
    return value;
}
}  // namespace

void WireWriter::varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
}

WireWriter& WireWriter::number(unsigned field, std::uint64_t value) {
    if (value == 0) return *this;
    varint(field << 3 | kVarint);
    varint(value);
    return *this;
}

WireWriter& WireWriter::text(unsigned field, std::string_view value) {
    return value.empty() ? *this : message(field, value);
}

WireWriter& WireWriter::texts(unsigned field, const std::vector<std::string>& values) {
    for (const auto& value : values) message(field, std::string_view(value));
    return *this;
}

WireWriter& WireWriter::message(unsigned field, std::string_view encoded) {
    varint(field << 3 | kLength);
    varint(encoded.size());
    bytes_ += encoded;
    return *this;
}

WireWriter& WireWriter::map(unsigned field, const std::map<std::string, std::string>& entries) {
    for (const auto& [key, value] : entries)
        message(field, WireWriter().text(1, key).text(2, value));
    return *this;
}

std::uint64_t WireReader::varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (rest_.empty()) throw malformed("a number is cut off");
        const auto byte = static_cast<unsigned char>(rest_.front());
        rest_.remove_prefix(1);
        value |= std::uint64_t{byte & 0x7FU} << shift;
        if (byte < 0x80) return value;
    }
    throw malformed("a number is too long");
}

std::string_view WireReader::taken(std::uint64_t size) {
    if (size > rest_.size()) throw malformed("a field is cut off");
    const auto bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
}

bool WireReader::next() {
    if (rest_.empty()) return false;
    const std::uint64_t key = varint();
    if (key >> 3 == 0 || key >> 3 > 0x1FFFFFFF) throw malformed("a field has no number");
    field_ = static_cast<unsigned>(key >> 3);
    kind_ = Kind::number;
    switch (key & 7) {
        case kVarint:
            number_ = varint();
            break;
        case kEightBytes:
            number_ = little_endian(taken(8));
            break;
        case kFourBytes:
            number_ = little_endian(taken(4));
            break;
        case kLength:
            kind_ = Kind::text;
            text_ = taken(varint());
            break;
        default:
            throw malformed("a field has an unknown type");
    }
    return true;
}

std::string_view WireReader::text() const {
    if (kind_ != Kind::text) throw malformed("a text is a number");
    return text_;
}

void read_entry(std::string_view encoded, std::map<std::string, std::string>& into) {
    std::string key;
    std::string value;
    for (WireReader entry(encoded); entry.next();) {
        if (entry.field() == 1) key = entry.text();
        if (entry.field() == 2) value = entry.text();
    }
    into.insert_or_assign(std::move(key), std::move(value));
}

}  // namespace berth::grpc
