#include "build/arguments.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/text.h"

namespace berth::build {

namespace {

constexpr std::array<std::string_view, 10> kPredefined{
    "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY",
    "ftp_proxy",  "NO_PROXY",   "no_proxy",    "ALL_PROXY",   "all_proxy"};

}  // namespace

bool is_predefined(const std::string& name) {
    return std::ranges::find(kPredefined, name) != kPredefined.end();
}

Arguments::Given Arguments::with_both_cases(Given given) {
    // Neighbours in the list are one proxy.
    for (std::size_t i = 0; i < kPredefined.size(); i += 2) {
        const std::string upper(kPredefined[i]), lower(kPredefined[i + 1]);
        if (const auto found = given.find(upper); found != given.end())
            given.emplace(lower, found->second);
        else if (const auto other = given.find(lower); other != given.end())
            given.emplace(upper, other->second);
    }
    return given;
}

bool Arguments::is_given(const std::string& name) const {
    const auto found = given_.find(name);
    return found != given_.end() && found->second;
}

void Arguments::add_global(const std::string& name, const std::optional<std::string>& value) {
    named_.insert(name);
    if (value || !global_.contains(name)) global_[name] = value;
}

void Arguments::add_automatic(const std::string& name, std::string value) {
    global_[name] = std::move(value);
}

void Arguments::add(const std::string& name, std::optional<std::string> value) {
    named_.insert(name);
    if (!value) value = value_of(name, global_);
    declared_[name] = std::move(value);
}

std::optional<std::string> Arguments::value_of(const std::string& name,
                                               const Declared& declared) const {
    if (is_given(name)) return given_.at(name);
    const auto found = declared.find(name);
    return found == declared.end() ? std::nullopt : found->second;
}

std::map<std::string, std::string> Arguments::visible(const std::vector<std::string>& env) const {
    std::map<std::string, std::string> result;
    const auto add_one = [&](const std::string& name) {
        if (const auto value = value_of(name, declared_)) result.emplace(name, *value);
    };
    for (const auto& [name, value] : declared_) add_one(name);
    for (const std::string_view name : kPredefined) add_one(std::string(name));
    for (const std::string& entry : env) result.erase(variable_name(entry));
    return result;
}

std::map<std::string, std::string> Arguments::recorded(const std::vector<std::string>& env) const {
    std::map<std::string, std::string> result = visible(env);
    std::erase_if(result, [this](const auto& entry) {
        return is_predefined(entry.first) && !named_.contains(entry.first);
    });
    return result;
}

Lookup Arguments::lookup(const std::vector<std::string>& env) const {
    std::map<std::string, std::string> values = visible(env);
    for (const std::string& entry : env) {
        const std::string name = variable_name(entry);
        values[name] = entry.substr(std::min(name.size() + 1, entry.size()));
    }
    return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
        const auto found = values.find(name);
        if (found == values.end()) return std::nullopt;
        return found->second;
    };
}

Lookup Arguments::global_lookup() const {
    return [this](const std::string& name) { return value_of(name, global_); };
}

std::vector<std::string> Arguments::unused() const {
    std::vector<std::string> result;
    for (const auto& [name, value] : given_)
        if (!named_.contains(name) && !is_predefined(name)) result.push_back(name);
    return result;
}

}  // namespace berth::build
