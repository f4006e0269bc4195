#include "grpc/wire.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "grpc/status.h"

namespace berth::grpc {
namespace {

using namespace std::string_literals;

TEST(Wire, bytes_are_those_of_the_format) {
    // From the encoding guide of Protocol Buffers: field 1 = 150, field 2 = "testing".
    EXPECT_EQ(WireWriter().number(1, 150).text(2, "testing").bytes(),
              "\x08\x96\x01\x12\x07testing"s);
}

TEST(Wire, defaults_are_not_written_but_empty_messages_are) {
    EXPECT_EQ(WireWriter().number(1, 0).text(2, "").bytes(), "");
    EXPECT_EQ(WireWriter().message(3, "").bytes(), "\x1a\0"s);
}

TEST(Wire, reads_what_it_wrote) {
    const std::string bytes =
        WireWriter().number(1, 1ULL << 63).texts(2, {"a", "b"}).map(20, {{"k", "v"}}).take();
    WireReader reader(bytes);
    ASSERT_TRUE(reader.next());
    EXPECT_EQ(reader.field(), 1U);
    EXPECT_EQ(reader.number(), 1ULL << 63);
    ASSERT_TRUE(reader.next());
    EXPECT_EQ(reader.text(), "a");
    ASSERT_TRUE(reader.next());
    EXPECT_EQ(reader.text(), "b");
    ASSERT_TRUE(reader.next());
    EXPECT_EQ(reader.field(), 20U);
    std::map<std::string, std::string> map;
    read_entry(reader.text(), map);
    EXPECT_EQ(map, (std::map<std::string, std::string>{{"k", "v"}}));
    EXPECT_FALSE(reader.next());
}

TEST(Wire, fixed_numbers_are_little_endian) {
    const std::string bytes = "\x0d\x01\x02\0\0\x11\x03\0\0\0\0\0\0\0"s;
    WireReader reader(bytes);
    ASSERT_TRUE(reader.next());
    EXPECT_EQ(reader.number(), 0x201U);
    ASSERT_TRUE(reader.next());
    EXPECT_EQ(reader.number(), 3U);
}

void read_all(std::string_view bytes) {
    for (WireReader reader(bytes); reader.next();) reader.field();
}

TEST(Wire, malformed_bytes_are_refused) {
    for (const std::string& bytes :
         {"\x08"s, "\x08\xff"s, "\x12\x05x"s, "\x0d\x01"s, "\x03"s, "\0"s, "\x07"s,
          "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s,
          "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s})
        EXPECT_THROW(read_all(bytes), Error) << testing::PrintToString(bytes);
    const std::string one = "\x08\x01";
    WireReader number(one);
    ASSERT_TRUE(number.next());
    EXPECT_THROW(number.text(), Error);
}

TEST(Status, a_message_survives_the_header) {
    const std::string text = "50% of \"ä\"\nfailed";
    EXPECT_EQ(encode_message(text), "50%25 of \"%C3%A4\"%0Afailed");
    EXPECT_EQ(decode_message(encode_message(text)), text);
    EXPECT_EQ(decode_message("100%"), "100%");
    EXPECT_EQ(decode_message("%zz"), "%zz");
}

TEST(Status, kinds_that_clients_tell_apart_have_a_code) {
    EXPECT_EQ(status_of(Error(ErrorKind::unsupported, "x")).code, Code::unimplemented);
    EXPECT_EQ(status_of(Error(ErrorKind::cancelled, "x")).code, Code::cancelled);
    EXPECT_EQ(status_of(Error(ErrorKind::invalid, "x")).code, Code::unknown);
    EXPECT_EQ(error_of({Code::not_found, "no"}).kind(), ErrorKind::not_found);
}

}  // namespace
}  // namespace berth::grpc
