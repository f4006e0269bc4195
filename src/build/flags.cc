#include "build/flags.h"

#include <algorithm>

#include "base/error.h"

namespace berth::build {

namespace {
constexpr const char* kNoValue = "\1";
}

Flags::Flags(const std::vector<std::string>& words) {
    for (const std::string& word : words) {
        const std::size_t equals = word.find('=');
        const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
        values_.emplace(name, equals == std::string::npos ? kNoValue : word.substr(equals + 1));
    }
}

std::vector<std::string> Flags::take_all(const std::string& name) {
    std::vector<std::string> found;
    const auto [begin, end] = values_.equal_range(name);
    for (auto it = begin; it != end; ++it) {
        if (it->second == kNoValue)
            throw Error(ErrorKind::invalid, "missing a value on flag: --{}", name);
        found.push_back(it->second);
    }
    values_.erase(begin, end);
    return found;
}

std::string Flags::take(const std::string& name) {
    if (values_.count(name) > 1)
        throw Error(ErrorKind::invalid, "duplicate flag specified: --{}", name);
    const std::vector<std::string> found = take_all(name);
    return found.empty() ? "" : found.front();
}

bool Flags::take_boolean(const std::string& name) {
    const auto found = values_.find(name);
    if (found == values_.end()) return false;
    if (values_.count(name) > 1)
        throw Error(ErrorKind::invalid, "duplicate flag specified: --{}", name);
    const std::string value = found->second;
    values_.erase(found);
    if (value == kNoValue || value == "true") return true;
    if (value == "false") return false;
    throw Error(ErrorKind::invalid, "expecting boolean value for flag --{}, not: {}", name, value);
}

void Flags::check_empty() const {
    if (!values_.empty())
        throw Error(ErrorKind::invalid, "unknown flag: --{}", values_.begin()->first);
}

}  // namespace berth::build
