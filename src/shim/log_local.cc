#include "shim/log_local.h"

namespace berth::shim {
namespace {

void append_varint(std::string& target, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) target += static_cast<char>(value | 0x80U);
    target += static_cast<char>(value);
}

void append_number(std::string& target, unsigned field, std::uint64_t value) {
    append_varint(target, field << 3U);
    append_varint(target, value);
}

void append_bytes(std::string& target, unsigned field, std::string_view bytes) {
    append_varint(target, field << 3U | 2U);
    append_varint(target, bytes.size());
    target += bytes;
}

std::string big_endian(std::size_t value) {
    return {static_cast<char>(value >> 24U), static_cast<char>(value >> 16U),
            static_cast<char>(value >> 8U), static_cast<char>(value)};
}

}  // namespace

std::string encode_local_record(unsigned char stream, const LogPiece& piece, Timestamp at) {
    std::string entry;
    append_bytes(entry, 1, stream == 2 ? "stderr" : "stdout");
    append_number(entry, 2, static_cast<std::uint64_t>(at.ns));
    append_bytes(entry, 3, piece.text);
    if (piece.partial) {
        append_number(entry, 4, 1);
        std::string place;
        if (piece.last) append_number(place, 1, 1);
        append_bytes(place, 2, piece.id);
        append_number(place, 3, static_cast<std::uint64_t>(piece.ordinal));
        append_bytes(entry, 5, place);
    }
    const std::string length = big_endian(entry.size());
    return length + entry + length;
}

void LocalLog::write(unsigned char stream, std::string_view bytes) {
    (stream == 2 ? err_ : out_).feed(bytes, [&](const LogPiece& piece) {
        file_.append(encode_local_record(stream, piece, Timestamp::now()));
    });
    file_.flush();
}

void LocalLog::end(unsigned char stream) {
    (stream == 2 ? err_ : out_).finish([&](const LogPiece& piece) {
        file_.append(encode_local_record(stream, piece, Timestamp::now()));
    });
    file_.flush();
}

}  // namespace berth::shim
