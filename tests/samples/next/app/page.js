// Rendered at each request, so that it reads what the container has.
export const dynamic = 'force-dynamic';

export default function Page() {
  return <p>hello from next, {process.env.PLACE ?? 'nowhere'}</p>;
}
