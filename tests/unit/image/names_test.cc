#include <gtest/gtest.h>

#include "base/base64.h"
#include "image/auth.h"
#include "image/changes.h"
#include "image/platform.h"
#include "image/progress.h"
#include "image/reference.h"
#include "image_fixture.h"

namespace berth::image {
namespace {

using test::error_of;
using test::kind_of;
const std::string kHex(64, 'a');

TEST(Reference, NormalisesAndShowsTheFamiliarForm) {
    struct Row {
        std::string text, full, familiar;
    };
    const std::vector<Row> rows{
        {"alpine", "docker.io/library/alpine", "alpine"},
        {"alpine:3.1", "docker.io/library/alpine:3.1", "alpine:3.1"},
        {"index.docker.io/alpine", "docker.io/library/alpine", "alpine"},
        {"docker.io/a/b:t", "docker.io/a/b:t", "a/b:t"},
        {"localhost/a", "localhost/a", "localhost/a"},
        {"localhost:5000/a/b", "localhost:5000/a/b", "localhost:5000/a/b"},
        {"[::1]:5000/a:x", "[::1]:5000/a:x", "[::1]:5000/a:x"},
        {"quay.io/a__b/c---d", "quay.io/a__b/c---d", "quay.io/a__b/c---d"},
        {"A/b", "A/b", "A/b"},
        {"x@sha256:" + kHex, "docker.io/library/x@sha256:" + kHex, "x@sha256:" + kHex},
    };
    for (const Row& row : rows) {
        EXPECT_EQ(Reference::parse(row.text).str(), row.full) << row.text;
        EXPECT_EQ(Reference::parse(row.text).familiar(), row.familiar) << row.text;
    }
}

TEST(Reference, RefusesWithDockersTexts) {
    const auto text = [](const std::string& name) {
        return error_of([&] { Reference::parse(name); });
    };
    EXPECT_EQ(text("Foo"),
              "invalid reference format: repository name (library/Foo) must be lowercase");
    for (const char* bad : {"", ":x", "a:", "a:-x", "a//b", "a..b", "-a", "a/-b", "a@sha256:12",
                            "a___b", "a b", "host:port/x", "a:b:c"})
        EXPECT_EQ(text(bad), "invalid reference format") << bad;
    EXPECT_EQ(text(kHex),
              "invalid repository name (" + kHex + "), cannot specify 64-byte hexadecimal strings");
    EXPECT_NE(text("h.io/" + std::string(256, 'a')).find("more than 255"), std::string::npos);
}

TEST(Reference, TagFieldMayHoldADigest) {
    EXPECT_EQ(Reference::parse("alpine", "3").familiar(), "alpine:3");
    EXPECT_EQ(Reference::parse("alpine:2", "sha256:" + kHex).familiar(), "alpine@sha256:" + kHex);
    EXPECT_EQ(Reference::parse("alpine:2@sha256:" + kHex).with_default_tag().familiar(),
              "alpine@sha256:" + kHex);
}

TEST(Platform, ChoosesExactThenCompatibleAndSkipsAttestations) {
    const auto entry = [](const char* os, const char* architecture, const char* variant, char hex) {
        return oci::Descriptor{.media_type = "",
                               .digest = Digest::from_hex(std::string(64, hex)),
                               .size = 1,
                               .platform = oci::Platform{os, architecture, variant},
                               .annotations = {}};
    };
    const oci::ImageIndex index{
        .media_type = "",
        .manifests = {entry("unknown", "unknown", "", '0'), entry("linux", "arm", "v6", '1'),
                      entry("linux", "arm", "v7", '2'), entry("linux", "amd64", "", '3'),
                      entry("linux", "arm64", "v8", '4')}};
    const auto pick = [&](const char* wanted) {
        return select_manifest(index, parse_platform(wanted)).digest.hex()[0];
    };
    EXPECT_EQ(pick("linux/amd64"), '3');
    EXPECT_EQ(pick("linux/amd64/v3"), '3');
    EXPECT_EQ(pick("linux/arm64"), '4');
    EXPECT_EQ(pick("linux/aarch64"), '4');
    EXPECT_EQ(pick("linux/arm/v8"), '2');
    EXPECT_EQ(pick("linux/arm/v6"), '1');
    EXPECT_EQ(error_of([&] { pick("linux/s390x"); }),
              "no matching manifest for linux/s390x in the manifest list entries");
    EXPECT_EQ(kind_of([&] { parse_platform("linux//x"); }), ErrorKind::invalid);
}

TEST(Auth, DecodesBothAlphabetsWithAndWithoutPadding) {
    const std::string text = R"({"username":"u","password":"p?>~","serveraddress":"x"})";
    std::string encoded = encode_base64(text);
    EXPECT_EQ(decode_registry_auth(encoded).password, "p?>~");
    for (char& c : encoded) c = c == '+' ? '-' : c == '/' ? '_' : c;
    while (encoded.ends_with('=')) encoded.pop_back();
    EXPECT_EQ(decode_registry_auth(encoded).username, "u");
    EXPECT_TRUE(decode_registry_auth("e30=").empty());
    EXPECT_TRUE(decode_registry_auth("not base64!").empty());
    EXPECT_EQ(decode_registry_auth(encode_base64(R"({"auth":"dTpw"})")).password, "p");
}

TEST(Auth, ReadsSeveralChallenges) {
    const auto list = parse_challenges(
        R"(Bearer realm="https://a/t",service="x, y",scope="repository:a:pull,push", Basic realm=z)");
    ASSERT_EQ(list.size(), 2U);
    EXPECT_EQ(list[0].scheme, "bearer");
    EXPECT_EQ(list[0].parameters.at("service"), "x, y");
    EXPECT_EQ(list[0].parameters.at("scope"), "repository:a:pull,push");
    EXPECT_EQ(list[1].scheme, "basic");
    EXPECT_EQ(parse_challenges(R"(="",,"=)").size(), 0U);
}

TEST(Progress, LinesAreDockers) {
    EXPECT_EQ(to_line({.stream = "",
                       .status = "Pulling fs layer",
                       .id = "aa",
                       .detail = Progress::Detail::empty}),
              "{\"status\":\"Pulling fs layer\",\"progressDetail\":{},\"id\":\"aa\"}\r\n");
    EXPECT_EQ(to_line({.stream = "Loaded image: x:y\n"}),
              "{\"stream\":\"Loaded image: x:y\\n\"}\r\n");
    EXPECT_EQ(progress_bar({1'000'000, 2'000'000}),
              "[" + std::string(25, '=') + ">" + std::string(25, ' ') + "]      1MB/2MB");
    EXPECT_EQ(error_line(Error(ErrorKind::internal, "x")),
              "{\"errorDetail\":{\"message\":\"x\"},\"error\":\"x\"}\r\n");
    EXPECT_EQ(human_size(1'234'567), "1.235MB");
}

TEST(Changes, quoted_keys_of_labels_may_have_blanks) {
    const oci::ContainerDefaults result = apply_changes({}, {"LABEL \"a b\"=c d=\"e f\""});
    EXPECT_EQ(result.labels, (std::map<std::string, std::string>{{"a b", "c"}, {"d", "e f"}}));
}

TEST(Changes, ApplyEveryInstruction) {
    const oci::ContainerDefaults result =
        apply_changes({}, {"CMD [\"a\",\"b\"]\nENTRYPOINT run it", "env A=1 B=\"x y\"\nENV A 2",
                           "EXPOSE 80 90-91/udp", "LABEL k=v", "USER u:g", "VOLUME [\"/v\"] ",
                           "WORKDIR /w", "WORKDIR x", "STOPSIGNAL SIGINT",
                           "HEALTHCHECK --interval=1m30s --retries=3 CMD curl x", "ONBUILD RUN y"});
    EXPECT_EQ(*result.cmd, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(*result.entrypoint, (std::vector<std::string>{"/bin/sh", "-c", "run it"}));
    EXPECT_EQ(result.env, (std::vector<std::string>{"A=2", "B=x y"}));
    EXPECT_EQ(result.exposed_ports, (std::set<std::string>{"80/tcp", "90/udp", "91/udp"}));
    EXPECT_EQ(result.working_dir, "/w/x");
    EXPECT_EQ(result.healthcheck->interval, 90'000'000'000);
    EXPECT_EQ(result.healthcheck->test, (std::vector<std::string>{"CMD-SHELL", "curl x"}));
    EXPECT_EQ(result.on_build, (std::vector<std::string>{"RUN y"}));
    EXPECT_EQ(error_of([] { apply_changes({}, {"RUN x"}); }), "RUN is not a valid change command");
    EXPECT_EQ(kind_of([] { apply_changes({}, {"EXPOSE 99999"}); }), ErrorKind::invalid);
}

TEST(ImageSpec, SurvivesHostileDocuments) {
    for (const char* text :
         {"", "[]", "{\"layers\":3}", "{\"config\":{\"digest\":\"sha256:..\"}}",
          "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[1]}}", "{\"config\":{\"size\":-1}}"}) {
        EXPECT_EQ(kind_of([&] { oci::parse_manifest(text); }), ErrorKind::invalid) << text;
        EXPECT_EQ(kind_of([&] { oci::parse_image_config(text); }), ErrorKind::invalid) << text;
    }
    EXPECT_EQ(kind_of([&] { oci::classify_document("{\"schemaVersion\":1}", ""); }),
              ErrorKind::invalid);
}

}  // namespace
}  // namespace berth::image
