#include "image/load.h"

#include <gtest/gtest.h>

#include "image/archive_members.h"
#include "image/import.h"
#include "image_fixture.h"

namespace berth::image {
namespace {

using nlohmann::json;
using test::config_for;
using test::Files;
using test::gzip;
using test::kind_of;
using test::make_tar;

class LoadTest : public testing::Test {
  protected:
    std::vector<Digest> load_bytes(const std::string& bytes) {
        archive::MemorySource source(bytes);
        return load(store_, sink_, source, {.output = LoadOutput::quiet}, lines_.callback(), {});
    }
    Files docker_archive(const std::string& layer_name, const std::string& layer,
                         const std::string& tag) const {
        const json manifest{{{"Config", "c.json"}, {"RepoTags", {tag}}, {"Layers", {layer_name}}}};
        return {{"c.json", config_for({tar_})},
                {layer_name, layer},
                {"manifest.json", manifest.dump()}};
    }

    test::TemporaryDirectory directory_;
    ImageStore store_{directory_.path()};
    test::FakeSink sink_;
    test::Lines lines_;
    const std::string tar_ = make_tar({{"etc/hello", "hi"}});
};

TEST_F(LoadTest, TakesADockerArchiveInGzip) {
    const auto ids = load_bytes(gzip(make_tar(docker_archive("l1/layer.tar", gzip(tar_), "a:1"))));
    ASSERT_EQ(ids.size(), 1U);
    EXPECT_EQ(store_.resolve("a:1").id, ids[0]);
    EXPECT_EQ(lines_.text, std::vector<std::string>{"{\"stream\":\"Loaded image: a:1\\n\"}\r\n"});
    EXPECT_EQ(sink_.count(), 1U);
}

TEST_F(LoadTest, RefusesAnImageOfAnotherPlatform) {
    const std::string bytes = make_tar(docker_archive("l1/layer.tar", tar_, "a:1"));
    archive::MemorySource source(bytes);
    const LoadOptions options{.output = LoadOutput::quiet,
                              .platform = oci::Platform{"linux", "s390x", ""}};
    try {
        load(store_, sink_, source, options, lines_.callback(), {});
        FAIL() << "it was loaded";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::not_found);
        EXPECT_EQ(error.message(),
                  "image with reference a:1 was found but its platform (linux/amd64) does not "
                  "match the specified platform (linux/s390x)");
    }
    EXPECT_TRUE(store_.list().empty());
}

TEST_F(LoadTest, FollowsALinkedLayer) {
    archive::StringSink bytes;
    archive::TarWriter writer(bytes);
    archive::TarEntry real, link;
    real.path = "l1/layer.tar";
    writer.add(real, tar_);
    link.path = "l2/layer.tar";
    link.type = archive::EntryType::symlink;
    link.link_target = "../l1/layer.tar";
    writer.add(link);
    for (const auto& [name, content] : docker_archive("l2/layer.tar", "", "a:1")) {
        archive::TarEntry entry;
        entry.path = name;
        if (name != "l2/layer.tar") writer.add(entry, content);
    }
    writer.finish();
    EXPECT_EQ(load_bytes(bytes.text()).size(), 1U);
}

TEST_F(LoadTest, TakesAnOciLayoutAndSaysTheId) {
    const std::string config = config_for({tar_});
    const std::string layer = gzip(tar_);
    const auto descriptor = [](const std::string& type, const std::string& bytes) {
        return json{
            {"mediaType", type}, {"digest", archive::sha256(bytes).str()}, {"size", bytes.size()}};
    };
    const std::string manifest =
        json{{"schemaVersion", 2},
             {"mediaType", oci::kOciManifest},
             {"config", descriptor(std::string(oci::kOciImageConfig), config)},
             {"layers", {descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)}}}
            .dump();
    json entry = descriptor(std::string(oci::kOciManifest), manifest);
    entry["annotations"] = {{"org.opencontainers.image.ref.name", "latest"}};
    Files files{{"oci-layout", "{}"},
                {"index.json", json{{"schemaVersion", 2}, {"manifests", {entry}}}.dump()}};
    for (const std::string& blob : {config, layer, manifest})
        files.emplace_back("blobs/sha256/" + archive::sha256(blob).hex(), blob);
    const auto ids = load_bytes(make_tar(files));
    ASSERT_EQ(ids.size(), 1U);
    EXPECT_TRUE(lines_.contain("Loaded image ID: " + ids[0].str()));
}

TEST_F(LoadTest, MovesATagAndSaysSo) {
    load_bytes(make_tar(docker_archive("l.tar", tar_, "a:1")));
    const std::string other = make_tar({{"x", "y"}});
    Files files = docker_archive("l.tar", other, "a:1");
    files[0].second = config_for({other});
    load_bytes(make_tar(files));
    EXPECT_TRUE(lines_.contain("The image a:1 already exists, renaming the old one with ID "));
}

TEST_F(LoadTest, RefusesDamagedArchivesAndLeavesNothing) {
    const std::string good = make_tar(docker_archive("l.tar", tar_, "a:1"));
    const std::string wrong = make_tar(docker_archive("l.tar", make_tar({{"x", "y"}}), "a:1"));
    const std::string broken_gzip = gzip(tar_).substr(0, 30);
    Files missing = docker_archive("l.tar", tar_, "a:1");
    missing.erase(missing.begin() + 1);
    Files climbing = docker_archive("../../etc/passwd", tar_, "a:1");
    for (const std::string& bytes :
         {std::string("not a tar at all, but long enough to be sniffed"), good.substr(0, 700),
          wrong, make_tar(missing), make_tar(climbing),
          make_tar(docker_archive("l.tar", broken_gzip, "a:1")), make_tar({{"x", "y"}}),
          make_tar({{"manifest.json", "[{\"Config\":\"manifest.json\"}]"}}),
          make_tar({{"manifest.json", std::string(60, '[')}})}) {
        EXPECT_EQ(kind_of([&] { load_bytes(bytes); }), ErrorKind::invalid);
    }
    EXPECT_TRUE(store_.list().empty());
    EXPECT_EQ(sink_.count(), 0U);
}

TEST_F(LoadTest, RemovesFinishedLayersOfAFailedImage) {
    const json manifest{
        {{"Config", "c.json"}, {"RepoTags", {"a:1"}}, {"Layers", {"1.tar", "2.tar"}}}};
    const std::string bytes = make_tar({{"c.json", config_for({tar_, tar_})},
                                        {"1.tar", tar_},
                                        {"2.tar", make_tar({{"other", "x"}})},
                                        {"manifest.json", manifest.dump()}});
    EXPECT_EQ(kind_of([&] { load_bytes(bytes); }), ErrorKind::invalid);
    EXPECT_EQ(sink_.applied(), 1);
    EXPECT_EQ(sink_.count(), 0U);
}

TEST_F(LoadTest, LinksInACircleEnd) {
    EXPECT_EQ(clean_member_name("./a//b/../c"), "a/c");
    EXPECT_EQ(clean_member_name("a/../../b"), std::nullopt);
    archive::StringSink bytes;
    archive::TarWriter writer(bytes);
    archive::TarEntry link;
    link.path = "manifest.json";
    link.type = archive::EntryType::symlink;
    link.link_target = "manifest.json";
    writer.add(link);
    writer.finish();
    EXPECT_EQ(kind_of([&] { load_bytes(bytes.text()); }), ErrorKind::invalid);
}

TEST_F(LoadTest, ImportMakesAnImageOfOneLayer) {
    const std::string packed = gzip(tar_);
    archive::MemorySource source(packed);
    const Digest id = import_image(store_, sink_, source,
                                   {.reference = Reference::parse("mine"),
                                    .message = "",
                                    .source = "-",
                                    .changes = {"CMD [\"x\"]"},
                                    .platform = "linux/arm64"},
                                   lines_.callback(), {});
    const oci::ImageConfig config = store_.config(id);
    EXPECT_EQ(config.diff_ids, std::vector<Digest>{archive::sha256(tar_)});
    EXPECT_EQ(config.config.cmd->front(), "x");
    EXPECT_EQ(config.platform.architecture, "arm64");
    EXPECT_EQ(config.comment, "Imported from -");
    EXPECT_EQ(store_.resolve("mine").id, id);
    EXPECT_EQ(lines_.text.back(), "{\"status\":\"" + id.str() + "\"}\r\n");
}

}  // namespace
}  // namespace berth::image
