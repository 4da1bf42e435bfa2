/* Loaded before the C library (LD_PRELOAD): refuses and writes down every attempt to reach another machine. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void note(const char *call, const char *where)
{
    const char *path = getenv("UNCROP_TEST_CONNECTIONS");
    char line[512];
    int length = snprintf(line, sizeof line, "%d %s %s\n", (int)getpid(), call, where);
    int file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    if (file >= 0) {
        if (write(file, line, (size_t)length) < 0)
            abort();
        close(file);
    }
}

/* 1: an address of another machine; its text goes to `text`. */
static int is_far(const struct sockaddr *address, char *text, socklen_t size)
{
    if (address && address->sa_family == AF_INET) {
        const struct in_addr *ip = &((const struct sockaddr_in *)address)->sin_addr;
        inet_ntop(AF_INET, ip, text, size);
        return (ntohl(ip->s_addr) >> 24) != 127 && ip->s_addr != 0;
    }
    if (address && address->sa_family == AF_INET6) {
        const struct in6_addr *ip = &((const struct sockaddr_in6 *)address)->sin6_addr;
        inet_ntop(AF_INET6, ip, text, size);
        if (IN6_IS_ADDR_V4MAPPED(ip))
            return ip->s6_addr[12] != 127;
        return !IN6_IS_ADDR_LOOPBACK(ip) && !IN6_IS_ADDR_UNSPECIFIED(ip);
    }
    return 0;
}

int connect(int socket, const struct sockaddr *address, socklen_t length)
{
    int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    char text[INET6_ADDRSTRLEN];
    int kind = 0;
    socklen_t size = sizeof kind;
    getsockopt(socket, SOL_SOCKET, SO_TYPE, &kind, &size);
    if (is_far(address, text, sizeof text)) {
        if (kind != SOCK_DGRAM) /* such a connection sends nothing by itself; see the calls below */
            note("connect", text);
        errno = ENETUNREACH;
        return -1;
    }
    return real(socket, address, length);
}

ssize_t sendto(int socket, const void *data, size_t count, int flags, const struct sockaddr *address, socklen_t length)
{
    ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "sendto");
    char text[INET6_ADDRSTRLEN];
    if (is_far(address, text, sizeof text)) {
        note("sendto", text);
        errno = ENETUNREACH;
        return -1;
    }
    return real(socket, data, count, flags, address, length);
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags)
{
    ssize_t (*real)(int, const struct msghdr *, int) = dlsym(RTLD_NEXT, "sendmsg");
    char text[INET6_ADDRSTRLEN];
    if (message && is_far(message->msg_name, text, sizeof text)) {
        note("sendmsg", text);
        errno = ENETUNREACH;
        return -1;
    }
    return real(socket, message, flags);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    struct in6_addr ip;
    char own[256] = "";
    gethostname(own, sizeof own - 1);
    if (node && strcmp(node, "localhost") != 0 && strcmp(node, own) != 0 && inet_pton(AF_INET, node, &ip) != 1 &&
        inet_pton(AF_INET6, node, &ip) != 1) {
        note("getaddrinfo", node);
        return EAI_NONAME;
    }
    return real(node, service, hints, result);
}
