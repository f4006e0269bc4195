#include "image/registry_error.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace berth::image {
namespace {

constexpr long kTooManyRequests = 429;

struct RegistryComplaint final {
    std::string code;
    std::string message;
};

/// Empty for a body of another form: proxies answer with HTML.
RegistryComplaint complaint_of(const std::string& body) {
    try {
        const nlohmann::json document = parse_json(body, {.max_bytes = 1U << 20, .max_depth = 32});
        const JsonReader reader(document);
        for (const JsonReader& entry : reader.objects("errors"))
            return {entry.string("code"), entry.string("message")};
        // Docker Hub's token service.
        if (const std::string details = reader.string("details"); !details.empty())
            return {"UNAUTHORIZED", details};
    } catch (const Error&) {
        // The status alone must do.
    }
    return {};
}

std::string joined(const RegistryComplaint& complaint, std::string_view fallback) {
    if (complaint.code.empty()) return std::string(fallback);
    std::string code = complaint.code;
    std::ranges::transform(code, code.begin(),
                           [](char c) { return c == '_' ? ' ' : static_cast<char>(::tolower(c)); });
    return complaint.message.empty() ? code : code + ": " + complaint.message;
}

Error unexpected(const HttpResponse& response, const RegistryComplaint& complaint,
                 const std::string& what) {
    return Error(response.status >= 500 ? ErrorKind::unavailable : ErrorKind::internal,
                 "{}: received unexpected HTTP status {}: {}", what, response.status,
                 joined(complaint, "no explanation"));
}

Error too_many_requests(const RegistryComplaint& complaint) {
    return Error(ErrorKind::internal, "{}",
                 joined(complaint, "toomanyrequests: the registry limits requests"));
}

Error unauthorized(const RegistryComplaint& complaint) {
    return Error(ErrorKind::unauthorized, "{}",
                 joined(complaint, "unauthorized: authentication required"));
}

}  // namespace

std::string complaint_text(const HttpResponse& response, std::string_view fallback) {
    return joined(complaint_of(response.body), fallback);
}

Error registry_error(const HttpResponse& response, const std::string& name,
                     const std::string& what) {
    const RegistryComplaint complaint = complaint_of(response.body);
    const long status = response.status;
    if (status == kTooManyRequests) return too_many_requests(complaint);
    if (status == 403 || complaint.code == "DENIED") {
        return Error(ErrorKind::not_found,
                     "pull access denied for {}, repository does not exist or may require "
                     "'docker login': {}",
                     name, joined(complaint, "denied: requested access to the resource is denied"));
    }
    if (status == 401) return unauthorized(complaint);
    if (status == 404 && complaint.code == "NAME_UNKNOWN") {
        return Error(ErrorKind::not_found, "repository {} not found: {}", name,
                     joined(complaint, ""));
    }
    if (status == 404) {
        return Error(ErrorKind::not_found, "{} not found: {}", what,
                     joined(complaint, "manifest unknown: manifest unknown"));
    }
    return unexpected(response, complaint, what);
}

Error push_error(const HttpResponse& response, const std::string& what) {
    const RegistryComplaint complaint = complaint_of(response.body);
    const long status = response.status;
    if (status == kTooManyRequests) return too_many_requests(complaint);
    if (status == 403 || complaint.code == "DENIED") {
        return Error(ErrorKind::denied, "{}",
                     joined(complaint, "denied: requested access to the resource is denied"));
    }
    if (status == 401) return unauthorized(complaint);
    if (complaint.code.empty() || status >= 500) return unexpected(response, complaint, what);
    return Error(status == 404 ? ErrorKind::not_found : ErrorKind::internal, "{}",
                 joined(complaint, ""));
}

}  // namespace berth::image
