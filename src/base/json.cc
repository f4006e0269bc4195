#include "base/json.h"

#include <strings.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace berth {
namespace {

using nlohmann::json;

const json& empty_object() {
    static const json kEmpty = json::object();
    return kEmpty;
}

bool same_key(std::string_view a, std::string_view b) {
    return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

[[noreturn]] void wrong_type(const std::string& path, std::string_view expected,
                             const json& found) {
    throw Error(ErrorKind::invalid, "{}: expected {}, found {}", path.empty() ? "body" : path,
                expected, found.type_name());
}

}  // namespace

json parse_json(std::string_view text, const JsonLimits& limits) {
    if (text.size() > limits.max_bytes)
        throw Error(ErrorKind::invalid, "JSON of {} bytes is larger than the limit of {}",
                    text.size(), limits.max_bytes);
    const auto limit_depth = [&limits](int depth, json::parse_event_t, json&) {
        if (depth > limits.max_depth)
            throw Error(ErrorKind::invalid, "JSON is nested deeper than {} levels",
                        limits.max_depth);
        return true;
    };
    try {
        return json::parse(text.begin(), text.end(), limit_depth);
    } catch (const json::exception& error) {
        // The library's name for the error says nothing to a user.
        std::string_view message = error.what();
        message.remove_prefix(message.starts_with('[') ? message.find("] ") + 2 : 0);
        throw Error(ErrorKind::invalid, "invalid JSON: {}", message);
    }
}

void check_no_zero_bytes(const json& value, const std::string& path) {
    const auto check = [&path](const std::string& text) {
        if (text.find('\0') != std::string::npos)
            throw Error(ErrorKind::invalid, "{}: a zero byte is not allowed",
                        path.empty() ? "body" : path);
    };
    if (value.is_string()) check(value.get_ref<const std::string&>());
    if (!value.is_structured()) return;
    std::size_t number = 0;
    for (auto it = value.begin(); it != value.end(); ++it, ++number) {
        if (value.is_array()) {
            check_no_zero_bytes(*it, fmt::format("{}[{}]", path, number));
            continue;
        }
        check(it.key());
        check_no_zero_bytes(*it, path.empty() ? it.key() : path + "." + it.key());
    }
}

std::string dump_json(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

JsonReader::JsonReader(const json& object, std::string path, KeyCase key_case)
    : object_(object.is_null() ? &empty_object() : &object),
      path_(std::move(path)),
      key_case_(key_case) {
    if (!object_->is_object()) wrong_type(path_, "an object", *object_);
}

std::string JsonReader::path_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

const json* JsonReader::find(std::string_view key) const {
    auto member = object_->find(key);
    if (member == object_->end() && key_case_ == KeyCase::any)
        for (auto it = object_->begin(); it != object_->end(); ++it)
            if (same_key(it.key(), key)) member = it;
    return member == object_->end() || member->is_null() ? nullptr : &*member;
}

bool JsonReader::has(std::string_view key) const { return find(key) != nullptr; }

std::string JsonReader::string(std::string_view key, std::string fallback) const {
    const json* member = find(key);
    if (!member) return fallback;
    if (!member->is_string()) wrong_type(path_of(key), "a string", *member);
    return member->get<std::string>();
}

std::optional<std::int64_t> JsonReader::optional_integer(std::string_view key) const {
    const json* member = find(key);
    if (!member) return std::nullopt;
    if (member->is_number_unsigned() && member->get<std::uint64_t>() > INT64_MAX)
        throw Error(ErrorKind::invalid, "{}: {} is too large", path_of(key), member->dump());
    if (member->is_number_integer()) return member->get<std::int64_t>();
    // 1e9 is an integer to JavaScript clients.
    if (member->is_number_float()) {
        const double number = member->get<double>();
        if (number >= -9.2e18 && number <= 9.2e18 &&
            number == static_cast<double>(static_cast<std::int64_t>(number)))
            return static_cast<std::int64_t>(number);
    }
    wrong_type(path_of(key), "an integer", *member);
}

std::int64_t JsonReader::integer(std::string_view key, std::int64_t fallback) const {
    return optional_integer(key).value_or(fallback);
}

std::optional<bool> JsonReader::optional_boolean(std::string_view key) const {
    const json* member = find(key);
    if (!member) return std::nullopt;
    if (!member->is_boolean()) wrong_type(path_of(key), "true or false", *member);
    return member->get<bool>();
}

bool JsonReader::boolean(std::string_view key, bool fallback) const {
    return optional_boolean(key).value_or(fallback);
}

std::vector<std::string> JsonReader::strings(std::string_view key) const {
    const json* member = find(key);
    if (!member) return {};
    if (!member->is_array()) wrong_type(path_of(key), "a list of strings", *member);
    std::vector<std::string> values;
    for (const json& element : *member) {
        if (!element.is_string())
            wrong_type(fmt::format("{}[{}]", path_of(key), values.size()), "a string", element);
        values.push_back(element.get<std::string>());
    }
    return values;
}

std::vector<std::string> JsonReader::string_or_strings(std::string_view key) const {
    const json* member = find(key);
    if (member && member->is_string()) return {member->get<std::string>()};
    return strings(key);
}

std::optional<std::pair<std::uint32_t, std::uint32_t>> JsonReader::number_pair(
    std::string_view key) const {
    const json* member = find(key);
    if (!member) return std::nullopt;
    const auto number = [&](std::size_t at) {
        const json& element = (*member)[at];
        if (!element.is_number_integer() ||
            !std::in_range<std::uint32_t>(element.get<std::int64_t>()))
            wrong_type(fmt::format("{}[{}]", path_of(key), at), "a number below 2^32", element);
        return element.get<std::uint32_t>();
    };
    if (!member->is_array() || member->size() != 2)
        wrong_type(path_of(key), "a list of two numbers", *member);
    return std::pair(number(0), number(1));
}

std::map<std::string, std::string> JsonReader::string_map(std::string_view key) const {
    const json* member = find(key);
    if (!member) return {};
    if (!member->is_object()) wrong_type(path_of(key), "an object of strings", *member);
    std::map<std::string, std::string> values;
    for (auto it = member->begin(); it != member->end(); ++it) {
        if (!it->is_string()) wrong_type(path_of(key) + "." + it.key(), "a string", *it);
        values.emplace(it.key(), it->get<std::string>());
    }
    return values;
}

JsonReader JsonReader::object(std::string_view key) const {
    const json* member = find(key);
    return {member ? *member : empty_object(), path_of(key), key_case_};
}

std::vector<JsonReader> JsonReader::objects(std::string_view key) const {
    const json* member = find(key);
    if (!member) return {};
    if (!member->is_array()) wrong_type(path_of(key), "a list", *member);
    std::vector<JsonReader> readers;
    for (const json& element : *member)
        readers.emplace_back(element, fmt::format("{}[{}]", path_of(key), readers.size()),
                             key_case_);
    return readers;
}

}  // namespace berth
