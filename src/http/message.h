// Values of HTTP/1.1 that server and client share: headers, query, request, response. No IO here.
// Names of headers match in any case; a query is decoded and may name a key several times.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth::http {

class Headers final {
  public:
    using Entry = std::pair<std::string, std::string>;
    Headers() = default;
    Headers(std::initializer_list<Entry> entries) : entries_(entries) {}

    void add(std::string name, std::string value);
    /// Replaces every header of that name.
    void set(std::string name, std::string value);
    /// The first of that name, or nullptr.
    const std::string* find(std::string_view name) const;
    /// The first of that name, or "".
    std::string get(std::string_view name) const;
    /// Whether a comma-separated header holds `token`, as "Connection: keep-alive, Upgrade".
    bool has_token(std::string_view name, std::string_view token) const;
    const std::vector<Entry>& entries() const { return entries_; }

  private:
    std::vector<Entry> entries_;
};

bool equal_ignoring_case(std::string_view a, std::string_view b);

class Query final {
  public:
    /// Decodes "a=1&b=x%20y". Throws Error{invalid} on a bad escape.
    static Query parse(std::string_view raw);

    bool has(std::string_view key) const;
    /// The first value, or `fallback` when the key is absent.
    std::string get(std::string_view key, std::string fallback = "") const;
    std::optional<std::string> find(std::string_view key) const;
    std::vector<std::string> all(std::string_view key) const;

  private:
    std::vector<std::pair<std::string, std::string>> entries_;
};

/// Decodes %XX; with Plus::space also '+'. Throws Error{invalid} on a bad escape.
enum class Plus { literal, space };
std::string decode_percent(std::string_view text, Plus plus);
/// Encodes everything but unreserved characters.
std::string encode_percent(std::string_view text);

struct Request final {
    std::string method;  // upper case as sent
    std::string target;  // as sent
    std::string path;    // decoded, without the query
    Query query;
    std::string query_problem = {};  // why the query could not be read; empty: it could
    Headers headers;
    int version = 11;  // 10 or 11
};

struct Response final {
    int status = 200;
    Headers headers;
    std::string body;
};

std::string_view reason_phrase(int status);

}  // namespace berth::http
