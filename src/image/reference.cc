#include "image/reference.h"

#include <algorithm>

#include "base/error.h"
#include "base/id.h"
#include "base/registry_host.h"

namespace berth::image {
namespace {

constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxTag = 128;
constexpr std::string_view kDefaultDomain = "docker.io";
constexpr std::string_view kLegacyDomain = "index.docker.io";
constexpr std::string_view kOfficial = "library/";

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_lower(c) || is_upper(c) || is_digit(c); }
bool is_name_char(char c) { return is_lower(c) || is_digit(c); }
bool has_upper(std::string_view text) { return std::ranges::any_of(text, is_upper); }

[[noreturn]] void bad_format() { throw Error(ErrorKind::invalid, "invalid reference format"); }

bool is_domain_label(std::string_view label) {
    return !label.empty() && label.front() != '-' && label.back() != '-' &&
           std::ranges::all_of(label, [](char c) { return is_alnum(c) || c == '-'; });
}

bool is_host(std::string_view host) {
    if (host.starts_with('[')) {
        return host.size() > 2 && host.ends_with(']') &&
               std::ranges::all_of(host.substr(1, host.size() - 2),
                                   [](char c) { return is_alnum(c) || c == ':'; });
    }
    while (true) {
        const std::size_t dot = host.find('.');
        if (!is_domain_label(host.substr(0, dot))) return false;
        if (dot == std::string_view::npos) return true;
        host.remove_prefix(dot + 1);
    }
}

bool is_domain(std::string_view domain) {
    const std::size_t colon = domain.rfind(':');
    if (colon == std::string_view::npos || domain.ends_with(']')) return is_host(domain);
    const std::string_view port = domain.substr(colon + 1);
    return is_host(domain.substr(0, colon)) && !port.empty() && std::ranges::all_of(port, is_digit);
}

/// [a-z0-9]+ runs joined by '.', '_', '__' or any number of '-'.
bool is_path_component(std::string_view component) {
    if (component.empty() || !is_name_char(component.front()) || !is_name_char(component.back()))
        return false;
    for (std::size_t i = 0; i < component.size();) {
        if (is_name_char(component[i])) {
            ++i;
            continue;
        }
        std::size_t end = i;
        while (end < component.size() && !is_name_char(component[end])) ++end;
        const std::string_view joint = component.substr(i, end - i);
        const bool dashes = std::ranges::all_of(joint, [](char c) { return c == '-'; });
        if (!dashes && joint != "." && joint != "_" && joint != "__") return false;
        i = end;
    }
    return true;
}

bool is_path(std::string_view path) {
    while (true) {
        const std::size_t slash = path.find('/');
        if (!is_path_component(path.substr(0, slash))) return false;
        if (slash == std::string_view::npos) return true;
        path.remove_prefix(slash + 1);
    }
}

struct DomainAndRest final {
    std::string domain;
    std::string rest;
};

DomainAndRest split_domain(std::string_view text) {
    const std::string_view host = registry_host_of(text);
    DomainAndRest result;
    if (host.empty()) {
        result = {std::string(kDefaultDomain), std::string(text)};
    } else {
        result = {std::string(host), std::string(text.substr(host.size() + 1))};
    }
    if (result.domain == kLegacyDomain) result.domain = kDefaultDomain;
    if (result.domain == kDefaultDomain && result.rest.find('/') == std::string::npos)
        result.rest.insert(0, kOfficial);
    return result;
}

Digest parse_digest(std::string_view text) {
    if (!Digest::is_valid(text)) bad_format();
    return Digest::parse(text);
}

}  // namespace

bool Reference::is_valid_tag(std::string_view tag) {
    const auto is_word = [](char c) { return is_alnum(c) || c == '_'; };
    return !tag.empty() && tag.size() <= kMaxTag && is_word(tag.front()) &&
           std::ranges::all_of(tag, [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

Reference Reference::parse(std::string_view text) {
    if (is_hex_id(text))
        throw Error(ErrorKind::invalid,
                    "invalid repository name ({}), cannot specify 64-byte hexadecimal strings",
                    text);
    std::optional<Digest> digest;
    if (const std::size_t at = text.find('@'); at != std::string_view::npos) {
        digest = parse_digest(text.substr(at + 1));
        text = text.substr(0, at);
    }
    auto [domain, rest] = split_domain(text);
    std::optional<std::string> tag;
    if (const std::size_t colon = rest.find(':'); colon != std::string::npos) {
        tag = rest.substr(colon + 1);
        rest.resize(colon);
    }
    if (has_upper(rest))
        throw Error(ErrorKind::invalid,
                    "invalid reference format: repository name ({}) must be lowercase", rest);
    if (!is_domain(domain) || !is_path(rest) || (tag && !is_valid_tag(*tag))) bad_format();
    if (rest.size() > kMaxName)
        throw Error(ErrorKind::invalid, "repository name must not be more than {} characters",
                    kMaxName);
    Reference result(std::move(domain), std::move(rest));
    result.tag_ = std::move(tag);
    result.digest_ = std::move(digest);
    return result;
}

Reference Reference::parse(std::string_view name, std::string_view tag) {
    Reference result = parse(name);
    if (tag.empty()) return result;
    if (tag.find(':') != std::string_view::npos) return result.with_digest(parse_digest(tag));
    if (!is_valid_tag(tag)) throw Error(ErrorKind::invalid, "invalid tag format");
    return result.with_tag(std::string(tag));
}

std::string Reference::str() const {
    return name() + (tag_ ? ":" + *tag_ : "") + (digest_ ? "@" + digest_->str() : "");
}

std::string Reference::familiar_name() const {
    if (domain_ != kDefaultDomain) return name();
    // "library/a/b" is no official image: its prefix must stay.
    const bool official =
        path_.starts_with(kOfficial) && path_.find('/', kOfficial.size()) == std::string::npos;
    return official ? path_.substr(kOfficial.size()) : path_;
}

std::string Reference::familiar() const {
    return familiar_name() + (tag_ ? ":" + *tag_ : "") + (digest_ ? "@" + digest_->str() : "");
}

Reference Reference::with_tag(std::string tag) const {
    Reference result = without_tag_and_digest();
    result.tag_ = std::move(tag);
    return result;
}

Reference Reference::with_digest(Digest digest) const {
    Reference result = without_tag_and_digest();
    result.digest_ = std::move(digest);
    return result;
}

Reference Reference::without_tag_and_digest() const { return Reference(domain_, path_); }

Reference Reference::with_default_tag() const {
    if (digest_) return with_digest(*digest_);
    return tag_ ? *this : with_tag("latest");
}

}  // namespace berth::image
