#include "base/base64.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/error.h"

namespace berth {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int digit_of(char c) {
    if (c == '-') c = '+';
    if (c == '_') c = '/';
    const std::size_t position = kAlphabet.find(c);
    return position == std::string_view::npos ? -1 : static_cast<int>(position);
}

}  // namespace

std::string decode_base64(std::string_view text) {
    while (text.ends_with('=')) text.remove_suffix(1);
    if (text.size() % 4 == 1) throw Error(ErrorKind::invalid, "base64 text is cut short");
    std::string result;
    result.reserve(text.size() * 3 / 4);
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const int digit = digit_of(c);
        if (digit < 0) throw Error(ErrorKind::invalid, "base64 text holds an invalid character");
        bits = bits << 6 | static_cast<std::uint32_t>(digit);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        result += static_cast<char>(bits >> count & 0xff);
    }
    return result;
}

std::string encode_base64(std::string_view bytes) {
    std::string result;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::array<std::uint32_t, 3> group{};
        const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
        for (std::size_t j = 0; j < count; ++j) group[j] = static_cast<unsigned char>(bytes[i + j]);
        const std::uint32_t bits = group[0] << 16 | group[1] << 8 | group[2];
        for (std::size_t j = 0; j < 4; ++j)
            result += j <= count ? kAlphabet[bits >> (18 - 6 * j) & 63] : '=';
    }
    return result;
}

std::string encode_base64url(std::string_view bytes) {
    std::string result = encode_base64(bytes);
    std::ranges::replace(result, '+', '-');
    std::ranges::replace(result, '/', '_');
    return result;
}

}  // namespace berth
