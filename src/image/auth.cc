#include "image/auth.h"

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace berth::image {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int digit_of(char c) {
    if (c == '-') c = '+';
    if (c == '_') c = '/';
    const std::size_t position = kAlphabet.find(c);
    return position == std::string_view::npos ? -1 : static_cast<int>(position);
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return result;
}

/// Reads the header piece by piece; `rest_` is what is still unread.
class ChallengeScanner final {
  public:
    explicit ChallengeScanner(std::string_view text) : rest_(text) {}

    void skip(std::string_view characters) {
        const std::size_t end = rest_.find_first_not_of(characters);
        rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end);
    }
    bool at_end() const { return rest_.empty(); }
    bool take(char c) {
        if (!rest_.starts_with(c)) return false;
        rest_.remove_prefix(1);
        return true;
    }
    std::string token() {
        const std::size_t end = std::min(rest_.find_first_of(" \t,=\""), rest_.size());
        std::string result(rest_.substr(0, end));
        rest_.remove_prefix(end);
        return result;
    }
    std::string value() {
        if (!take('"')) return token();
        std::string result;
        while (!rest_.empty() && !rest_.starts_with('"')) {
            if (rest_.starts_with('\\') && rest_.size() > 1) rest_.remove_prefix(1);
            result += rest_.front();
            rest_.remove_prefix(1);
        }
        take('"');
        return result;
    }

  private:
    std::string_view rest_;
};

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

Credentials decode_registry_auth(std::string_view header) {
    Credentials result;
    if (header.empty()) return result;
    try {
        const nlohmann::json document = parse_json(decode_base64(header));
        const JsonReader reader(document, "X-Registry-Auth", KeyCase::any);
        result.username = reader.string("username");
        result.password = reader.string("password");
        result.identity_token = reader.string("identitytoken");
        result.registry_token = reader.string("registrytoken");
        result.server_address = reader.string("serveraddress");
        const std::string joined = reader.string("auth");
        if (result.username.empty() && !joined.empty()) {
            const std::string pair = decode_base64(joined);
            const std::size_t colon = pair.find(':');
            if (colon != std::string::npos) {
                result.username = pair.substr(0, colon);
                result.password = pair.substr(colon + 1);
            }
        }
    } catch (const Error&) {
        return {};
    }
    return result;
}

std::vector<Challenge> parse_challenges(std::string_view header) {
    std::vector<Challenge> result;
    ChallengeScanner scanner(header);
    while (true) {
        scanner.skip(" \t,");
        if (scanner.at_end()) return result;
        const std::string word = scanner.token();
        scanner.skip(" \t");
        if (word.empty()) {  // a stray quote or '='
            scanner.value();
            scanner.take('=');
        } else if (scanner.take('=')) {
            scanner.skip(" \t");
            std::string value = scanner.value();
            if (!result.empty()) result.back().parameters[lower(word)] = std::move(value);
        } else {
            result.push_back({lower(word), {}});
        }
    }
}

}  // namespace berth::image
