// Finds the handler of a method and a path. A pattern has at most one variable: "{name}" matches
// one segment, "{name...}" also slashes (image names), with what follows it taken from the end of
// the path. Fixed paths win over variables, longer fixed parts over shorter. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "async/task.h"

namespace berth::api {

struct Call;
using Handler = async::Task<> (*)(Call&);

/// Without empty parts, "." and "..", as the router of dockerd wants it.
std::string clean_path(std::string_view path);

class Router final {
  public:
    struct Match final {
        Handler handler = nullptr;
        std::string name;  // what the variable stands for
    };

    void add(std::string_view method, std::string_view pattern, Handler handler);
    /// Nothing for an unknown path and for a wrong method alike.
    std::optional<Match> find(std::string_view method, std::string_view path) const;

  private:
    enum class Variable { none, segment, greedy };
    struct Route final {
        std::string method, prefix, suffix;
        Variable variable = Variable::none;
        Handler handler = nullptr;
    };
    static bool matches(const Route& route, std::string_view path);
    std::vector<Route> routes_;
};

}  // namespace berth::api
