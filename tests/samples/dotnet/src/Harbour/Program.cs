using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;

namespace Harbour
{
    public static class Program
    {
        public static void Main(string[] args)
        {
            Host.CreateDefaultBuilder(args)
                .ConfigureWebHostDefaults(web => web.Configure(app =>
                    app.Run(context => context.Response.WriteAsync("hello from .NET at " + context.Request.Path))))
                .Build()
                .Run();
        }
    }
}
