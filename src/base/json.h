// Reading JSON from outside: size and depth are limited, and a wrong type is an error that names
// the path ("HostConfig.Memory: expected a number, found a string").
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth {

struct JsonLimits final {
    std::size_t max_bytes = 8U << 20;
    int max_depth = 64;
};

/// Parses exactly one JSON value. Throws Error{invalid} with the position for anything else.
nlohmann::json parse_json(std::string_view text, const JsonLimits& limits = {});
/// Throws Error{invalid} naming the first string or key that contains a zero byte: names, paths
/// and words from outside end as C strings.
void check_no_zero_bytes(const nlohmann::json& value, const std::string& path = "");
/// One line without HTML escaping; invalid UTF-8 becomes U+FFFD.
std::string dump_json(const nlohmann::json& value);

enum class KeyCase { exact, any };

/// A view of one JSON object that reads members with type checks. Absent and null members read as
/// the fallback. With KeyCase::any keys match in any case, as Go's decoder does.
/// Borrows the value: it must outlive the reader.
class JsonReader final {
  public:
    JsonReader(const nlohmann::json& object, std::string path = "",
               KeyCase key_case = KeyCase::exact);

    bool has(std::string_view key) const;  // present and not null
    std::string string(std::string_view key, std::string fallback = "") const;
    std::int64_t integer(std::string_view key, std::int64_t fallback = 0) const;
    bool boolean(std::string_view key, bool fallback) const;
    std::optional<bool> optional_boolean(std::string_view key) const;
    std::optional<std::int64_t> optional_integer(std::string_view key) const;
    std::vector<std::string> strings(std::string_view key) const;
    /// As strings(); a single string reads as a list of one, as Docker's StrSlice does.
    std::vector<std::string> string_or_strings(std::string_view key) const;
    /// A list of exactly two numbers of 0 to 2^32-1, as a terminal's size is.
    std::optional<std::pair<std::uint32_t, std::uint32_t>> number_pair(std::string_view key) const;
    std::map<std::string, std::string> string_map(std::string_view key) const;
    /// The member object; an empty one when absent.
    JsonReader object(std::string_view key) const;
    /// The elements of a member list, each as a reader.
    std::vector<JsonReader> objects(std::string_view key) const;
    /// The member as it is, or nullptr when absent or null.
    const nlohmann::json* find(std::string_view key) const;
    const nlohmann::json& value() const { return *object_; }
    std::string path_of(std::string_view key) const;

  private:
    const nlohmann::json* object_;
    std::string path_;
    KeyCase key_case_;
};

}  // namespace berth
