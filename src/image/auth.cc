#include "image/auth.h"

#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace berth::image {
namespace {

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
            if (!result.empty()) result.back().parameters[to_lower(word)] = std::move(value);
        } else {
            result.push_back({to_lower(word), {}});
        }
    }
}

}  // namespace berth::image
