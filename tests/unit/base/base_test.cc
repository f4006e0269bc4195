#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "base/json.h"

namespace berth {
namespace {

TEST(Clock, prints_nanoseconds_trimmed_or_whole) {
    const Timestamp at{1'700'000'000'120'000'000};
    EXPECT_EQ(rfc3339(at), "2023-11-14T22:13:20.12Z");
    EXPECT_EQ(rfc3339(at, Fraction::nine), "2023-11-14T22:13:20.120000000Z");
    EXPECT_EQ(rfc3339({}), "0001-01-01T00:00:00Z");
}

TEST(Clock, reads_offsets_and_go_zero_time) {
    EXPECT_EQ(parse_rfc3339("2023-11-14T23:13:20.12+01:00").ns, 1'700'000'000'120'000'000);
    EXPECT_EQ(parse_rfc3339("0001-01-01T00:00:00Z").ns, 0);
    EXPECT_THROW(parse_rfc3339("2023-11-14"), Error);
}

TEST(Error, adds_context_in_front_and_errno_text_behind) {
    Error error = Error::from_errno(EACCES, "mount /data");
    EXPECT_EQ(error.while_("create {}", "web").message(),
              "create web: mount /data: permission denied");
    EXPECT_EQ(error.errno_value(), EACCES);
}

TEST(Id, random_ids_are_valid_and_differ) {
    const auto a = ContainerId::random();
    const auto b = ContainerId::random();
    EXPECT_NE(a, b);
    EXPECT_EQ(ContainerId::parse(a.str()), a);
    EXPECT_EQ(a.short_id().size(), 12U);
}

TEST(Id, a_name_follows_dockers_rule) {
    EXPECT_TRUE(Name::is_valid("web_1.a-b"));
    for (const char* bad : {"", "a", "-a", "a b", "a/b", "\xc3\xa9t\xc3\xa9"})
        EXPECT_FALSE(Name::is_valid(bad)) << bad;
}

TEST(Digest, refuses_what_is_not_sha256) {
    const std::string hex(64, 'a');
    EXPECT_EQ(Digest::parse("sha256:" + hex).hex(), hex);
    for (const std::string& bad :
         {hex, std::string("sha256:abc"), "sha512:" + hex, "sha256:" + std::string(64, 'A')})
        EXPECT_THROW(Digest::parse(bad), Error) << bad;
}

TEST(Json, names_the_path_of_a_wrong_type) {
    const auto document = parse_json(R"({"HostConfig":{"Memory":"lots","Binds":["a",1]}})");
    const JsonReader host = JsonReader(document).object("HostConfig");
    EXPECT_EQ(failure_text([&] { host.integer("Memory"); }),
              "HostConfig.Memory: expected an integer, found string");
    EXPECT_EQ(failure_text([&] { host.strings("Binds"); }),
              "HostConfig.Binds[1]: expected a string, found number");
}

TEST(Json, limits_depth_and_refuses_trailing_data) {
    EXPECT_THROW(parse_json(std::string(200, '[') + std::string(200, ']')), Error);
    EXPECT_THROW(parse_json("{} {}"), Error);
    EXPECT_NO_THROW(parse_json(" {} \n"));
}

TEST(Json, reads_keys_of_any_case_when_asked) {
    const auto document = parse_json(R"({"image":"a","TTY":true})");
    const JsonReader reader(document, "", KeyCase::any);
    EXPECT_EQ(reader.string("Image"), "a");
    EXPECT_TRUE(reader.boolean("Tty", false));
    EXPECT_EQ(JsonReader(document).string("Image"), "");
}

TEST(Json, a_reader_of_an_absent_object_reads_fallbacks) {
    const auto document = parse_json("{}");
    EXPECT_EQ(JsonReader(document).object("a").object("b").integer("c", 7), 7);
}

class FileTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/berth-base-XXXXXX";
        directory_ = ::mkdtemp(name);
    }
    void TearDown() override { remove_tree(directory_); }
    std::string directory_;
};

TEST_F(FileTest, replaces_a_file_whole_and_leaves_no_temporary) {
    const std::string path = directory_ + "/record";
    replace_file(path, "one", 0600, Durability::power);
    replace_file(path, "two", 0640, Durability::process);
    EXPECT_EQ(read_file(path), "two");
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0640U);
    ::unlink(path.c_str());
    EXPECT_EQ(::rmdir(directory_.c_str()), 0) << "something was left over";
    ::mkdir(directory_.c_str(), 0700);
}

TEST_F(FileTest, what_a_killed_process_was_replacing_is_removed) {
    for (const char* name : {"record.tmp-0a1b2c3d", "record", "record.tmp-0a1b2c3", ".tmp-0a1b2c3d",
                             "record.tmp-0a1b2c3x"})
        replace_file(directory_ + "/" + name, "x", 0600, Durability::process);
    remove_unfinished_files(directory_);
    EXPECT_FALSE(exists(directory_ + "/record.tmp-0a1b2c3d"));
    for (const char* kept :
         {"record", "record.tmp-0a1b2c3", ".tmp-0a1b2c3d", "record.tmp-0a1b2c3x"})
        EXPECT_TRUE(exists(directory_ + "/" + kept)) << kept;
    EXPECT_NO_THROW(remove_unfinished_files(directory_ + "/absent"));
}

TEST_F(FileTest, an_absent_file_is_not_found_and_a_large_one_invalid) {
    EXPECT_FALSE(read_file_if_exists(directory_ + "/none"));
    replace_file(directory_ + "/big", std::string(100, 'x'), 0600, Durability::process);
    EXPECT_EQ(failure_text([&] { read_file(directory_ + "/big", 10); }),
              "reading " + directory_ + "/big: file is larger than the limit of 10 bytes");
}

TEST_F(FileTest, removes_a_tree_without_following_links) {
    make_directories(directory_ + "/tree/a/b");
    make_directories(directory_ + "/kept");
    replace_file(directory_ + "/kept/file", "x", 0600, Durability::process);
    ASSERT_EQ(::symlink((directory_ + "/kept").c_str(), (directory_ + "/tree/link").c_str()), 0);
    ASSERT_EQ(::chmod((directory_ + "/tree/a").c_str(), 0), 0);
    remove_tree(directory_ + "/tree");
    EXPECT_FALSE(exists(directory_ + "/tree"));
    EXPECT_TRUE(exists(directory_ + "/kept/file"));
}

}  // namespace
}  // namespace berth
