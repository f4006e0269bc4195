// A small HTTP server on loopback whose answers a test makes up. One connection at a time a thread;
// closes after each answer.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace berth::image::test {

struct CannedRequest final {
    std::string method;
    std::string target;
    std::string head;  // the whole head, for looking up headers
    bool has(std::string_view text) const { return head.find(text) != std::string::npos; }
};

struct CannedAnswer final {
    int status = 200;
    std::string body;
    std::map<std::string, std::string> headers;
    std::size_t cut = std::string::npos;  // hang up after so many bytes of the body
};

class CannedServer final {
  public:
    using Handler = std::function<CannedAnswer(const CannedRequest&)>;
    explicit CannedServer(Handler handler) : handler_(std::move(handler)) {
        listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* const generic = reinterpret_cast<sockaddr*>(&address);
        if (::bind(listener_.get(), generic, size) != 0 || ::listen(listener_.get(), 64) != 0 ||
            ::getsockname(listener_.get(), generic, &size) != 0)
            throw_errno("starting a server");
        port_ = ::ntohs(address.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~CannedServer() {
        ::shutdown(listener_.get(), SHUT_RDWR);
        thread_.join();
        for (std::thread& worker : workers_) worker.join();
    }
    CannedServer(const CannedServer&) = delete;

    std::string host() const { return "127.0.0.1:" + std::to_string(port_); }
    std::vector<CannedRequest> requests() {
        const std::lock_guard lock(mutex_);
        return requests_;
    }
    int count(std::string_view part) {
        int result = 0;
        for (const CannedRequest& request : requests())
            if (request.target.find(part) != std::string::npos) ++result;
        return result;
    }

  private:
    void serve() {
        while (true) {
            const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) return;
            workers_.emplace_back([this, fd] { answer(UniqueFd(fd)); });
        }
    }
    void answer(UniqueFd client) {
        std::string head;
        char byte = 0;
        while (!head.ends_with("\r\n\r\n")) {
            if (::recv(client.get(), &byte, 1, 0) != 1) return;
            head += byte;
            if (head.size() == 1 && byte == '\x16') return;  // a TLS greeting: hang up
        }
        CannedRequest request;
        const std::size_t space = head.find(' ');
        request.method = head.substr(0, space);
        request.target = head.substr(space + 1, head.find(' ', space + 1) - space - 1);
        request.head = head;
        {
            const std::lock_guard lock(mutex_);
            requests_.push_back(request);
        }
        const CannedAnswer reply = handler_(request);
        std::string text =
            fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n",
                        reply.status, reply.body.size());
        for (const auto& [name, value] : reply.headers) text += name + ": " + value + "\r\n";
        text += "\r\n" + reply.body.substr(0, reply.cut);
        for (std::size_t done = 0; done < text.size();) {
            const ssize_t sent =
                ::send(client.get(), text.data() + done, text.size() - done, MSG_NOSIGNAL);
            if (sent <= 0) return;
            done += static_cast<std::size_t>(sent);
        }
    }

    Handler handler_;
    UniqueFd listener_;
    int port_ = 0;
    std::mutex mutex_;  // guards requests_
    std::vector<CannedRequest> requests_;
    std::vector<std::thread> workers_;  // of the accepting thread, until it has ended
    std::thread thread_;
};

}  // namespace berth::image::test
