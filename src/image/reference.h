// Names of images: parsed and normalised ("alpine" is docker.io/library/alpine), shown in the
// familiar form again. A value; pure. Errors: Error{invalid} with Docker's texts.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"

namespace berth::image {

class Reference final {
  public:
    /// "alpine", "localhost:5000/a/b:tag", "x@sha256:…". Tag and digest stay absent when not given.
    static Reference parse(std::string_view text);
    /// From the two fields of the API (fromImage and tag, repo and tag): `tag` may be empty, a tag
    /// or a digest, and wins over one inside `name`.
    static Reference parse(std::string_view name, std::string_view tag);
    static bool is_valid_tag(std::string_view tag);

    const std::string& domain() const { return domain_; }
    /// The path at the registry: "library/alpine".
    const std::string& path() const { return path_; }
    const std::optional<std::string>& tag() const { return tag_; }
    const std::optional<Digest>& digest() const { return digest_; }

    /// "docker.io/library/alpine"
    std::string name() const { return domain_ + "/" + path_; }
    /// The whole normalised form, with tag and digest as far as given.
    std::string str() const;
    /// "alpine": without docker.io/ and library/.
    std::string familiar_name() const;
    /// "alpine:3", "alpine@sha256:…": as users see it.
    std::string familiar() const;

    Reference with_tag(std::string tag) const;   // drops a digest
    Reference with_digest(Digest digest) const;  // drops a tag
    Reference without_tag_and_digest() const;
    /// "latest" is added when neither tag nor digest is there; of both, the digest decides.
    Reference with_default_tag() const;

    auto operator<=>(const Reference&) const = default;

  private:
    Reference(std::string domain, std::string path)
        : domain_(std::move(domain)), path_(std::move(path)) {}
    std::string domain_;
    std::string path_;
    std::optional<std::string> tag_;
    std::optional<Digest> digest_;
};

}  // namespace berth::image
